//! Who listens on a port already. Linux tells it in `/proc`, for processes of the same user; elsewhere nobody is found.

use std::fs;
use std::net::SocketAddr;

/// The name and number of the process that listens on the port of `address`, such as `nginx (process 812)`.
pub(crate) fn of(address: SocketAddr) -> Option<String> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        let inodes = text.lines().filter_map(|line| listening_inode(line, address.port()));
        sockets.extend(inodes.map(|inode| format!("socket:[{inode}]")));
    }
    if sockets.is_empty() {
        return None;
    }
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let number: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        descriptors.find(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
        })?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (process {number})", name.trim_end()))
    })
}

/// The inode of a socket that listens on the port, from a line such as
/// `0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 1 ...`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let listens = fields.nth(1)? == "0A" && u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()? == port;
    fields.nth(5).filter(|_| listens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000 100 0 0 10 0";
        assert_eq!(listening_inode(line, 8000), Some("12345"));
        assert_eq!(listening_inode(line, 8001), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 8000), None);
        assert_eq!(listening_inode("  sl  local_address rem_address   st", 8000), None);
    }
}
