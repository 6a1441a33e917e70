//! Magic variables: `%n`, `%d` and their kind, which say where a file lies and on what machine.

use std::path::Path;

use super::World;

/// What they are for one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Magic {
    /// As it was asked for.
    original: String,
    full: String,
    section: String,
}

impl Magic {
    pub(super) fn of(world: &World, original: &str, section: &str) -> Magic {
        let path = std::path::absolute(world.absolute(original)).unwrap_or_else(|_| world.absolute(original));
        // `..` is taken away, as uWSGI does it for anything but a symbolic link, whose own place counts.
        let path = match path.symlink_metadata() {
            Ok(file) if !file.file_type().is_symlink() => path.canonicalize().unwrap_or(path),
            _ => path,
        };
        Magic { original: original.to_owned(), full: path.to_string_lossy().into_owned(), section: section.to_owned() }
    }

    /// The text with its magic variables replaced, those in capitals by what they are for `first`, the file that was read first. `%(` is left,
    /// since it begins a placeholder.
    ///
    /// # Errors
    /// A letter that stands for nothing.
    pub(super) fn replace(&self, first: &Magic, world: &World, text: &str) -> Result<String, String> {
        if !text.contains('%') {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => out.push('%'),
                Some('(') => out.push_str("%("),
                Some(letter) => out.push_str(&self.value(first, world, letter)?),
                None => return Err("a % at the end stands for nothing: write %% for a percent sign".to_owned()),
            }
        }
        Ok(out)
    }

    fn value(&self, first: &Magic, world: &World, letter: char) -> Result<String, String> {
        if let Some(value) =
            self.of_file(letter).or_else(|| first.of_file(letter.to_ascii_lowercase()).filter(|_| "OPSDENCX".contains(letter)))
        {
            return Ok(value);
        }
        Ok(match letter {
            'v' => world.directory.to_string_lossy().into_owned(),
            'h' => world.host.clone(),
            'b' => world.binary.to_string_lossy().into_owned(),
            'k' => world.cores.to_string(),
            't' => world.since_1970.as_secs().to_string(),
            'T' => world.since_1970.as_micros().to_string(),
            'u' => world.user.0.to_string(),
            'U' => world.name_of("passwd", world.user.0),
            'g' => world.user.1.to_string(),
            'G' => world.name_of("group", world.user.1),
            '[' => "\x1b".to_owned(),
            'V' => return Err("%V is the version of uWSGI, which this is not".to_owned()),
            'i' | 'j' => return Err(format!("%{letter} is of uWSGI's Emperor, which there is not here")),
            _ => return Err(format!("%{letter} stands for nothing: write %% for a percent sign")),
        })
    }

    fn of_file(&self, letter: char) -> Option<String> {
        let path = Path::new(&self.full);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        Some(match letter {
            'o' => self.original.clone(),
            'p' => self.full.clone(),
            's' => name.into_owned(),
            // With its slash, as uWSGI has it, so that `%dsite.sock` is a path.
            'd' => format!("{}/", folder.trim_end_matches('/')),
            'e' => name.rsplit_once('.').map(|(_, end)| end).unwrap_or_default().to_owned(),
            'n' => name.rsplit_once('.').map(|(stem, _)| stem).unwrap_or_default().to_owned(),
            'c' => folder.rsplit('/').next().unwrap_or_default().to_owned(),
            'x' => self.section.clone(),
            '0'..='9' => {
                let index = usize::from(letter as u8 - b'0');
                folder.split('/').filter(|part| !part.is_empty()).nth(index).unwrap_or_default().to_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_has_its_value() {
        let world = World {
            directory: "/srv".into(),
            host: "box".to_owned(),
            binary: "/usr/bin/serve".into(),
            cores: 8,
            since_1970: std::time::Duration::from_micros(3_000_007),
            user: (4_000_000_001, 4_000_000_002),
            ..World::default()
        };
        let magic = Magic::of(&world, "none/conf/site.prod.ini", "app");
        let first = Magic::of(&world, "/none/first.ini", "");
        for (text, replaced) in [
            ("", ""),
            ("plain", "plain"),
            ("%o|%p", "none/conf/site.prod.ini|/srv/none/conf/site.prod.ini"),
            ("%s|%d|%e|%n|%c|%x", "site.prod.ini|/srv/none/conf/|ini|site.prod|conf|app"),
            ("%0|%1|%2|%3|%9", "srv|none|conf||"),
            ("%O|%P|%S|%D|%E|%N|%C|%X", "/none/first.ini|/none/first.ini|first.ini|/none/|ini|first|none|"),
            ("%v|%h|%b|%k|%t|%T", "/srv|box|/usr/bin/serve|8|3|3000007"),
            ("%u|%U|%g|%G", "4000000001|4000000001|4000000002|4000000002"),
            ("%[[1m", "\x1b[1m"),
            ("100%% %(name)", "100% %(name)"),
        ] {
            assert_eq!(magic.replace(&first, &world, text).as_deref(), Ok(replaced), "{text}");
        }
        for (text, part) in [("%V", "version of uWSGI"), ("%z", "%z stands for nothing"), ("50%", "at the end"), ("%ü", "%ü")] {
            assert!(magic.replace(&first, &world, text).unwrap_err().contains(part), "{text}");
        }
    }
}
