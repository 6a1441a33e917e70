//! Lets whatever this crate is linked into find libpython at run time, also where it lies outside the loader's path.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "python")]
    python::find_at_run_time();
}

#[cfg(feature = "python")]
mod python {
    use std::path::Path;
    use std::{env, fs};

    /// Link arguments reach this package's own tests and doc tests, and not those of packages that depend on it, nor their programs. There,
    /// cargo itself helps: whatever it runs (`cargo run`, `cargo test`, doc tests) finds libraries in the search paths of build scripts, as far
    /// as these lie in the target folder. So libpython gets a link in ours.
    pub(super) fn find_at_run_time() {
        pyo3_build_config::add_libpython_rpath_link_args();

        let config = pyo3_build_config::get();
        let (Some(library), Some(folder)) = (config.lib_name(), config.lib_dir()) else { return };
        if config.shared() && cfg!(unix) && !LOADER_PATH.iter().any(|known| Path::new(folder).starts_with(known)) {
            let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
            link_shared_library(library, Path::new(folder), Path::new(&out));
            println!("cargo:rustc-link-search=native={}", Path::new(&out).display());
        }
    }

    /// Links every spelling of the library (`libpython3.11.so`, `libpython3.11.so.1.0`): which of them a program asks for is the library's own
    /// choice, its soname.
    #[cfg(unix)]
    fn link_shared_library(library: &str, from: &Path, to: &Path) {
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let shared = name
                .to_str()
                .and_then(|name| name.strip_prefix("lib")?.strip_prefix(library))
                .is_some_and(|rest| rest == ".so" || rest.starts_with(".so.") || rest == ".dylib");
            if shared {
                let link = to.join(&name);
                let _ = fs::remove_file(&link);
                if let Err(error) = std::os::unix::fs::symlink(entry.path(), &link) {
                    println!("cargo:warning=programs that cargo runs may not find libpython: {}: {error}", link.display());
                }
            }
        }
    }

    #[cfg(not(unix))]
    fn link_shared_library(_: &str, _: &Path, _: &Path) {}

    /// Where every loader looks without being told. A link to a library there could only shadow another Python's.
    const LOADER_PATH: &[&str] = &["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
}
