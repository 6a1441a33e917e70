//! The list of settings, put together from all that was given.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::ini::{self, Content};
use super::logic::{self, Block};
use super::magic::Magic;
use super::values::Value;
use super::{Fault, Kind, Origin, Setting, World, toml_file};

/// Takes settings in, in the order in which uWSGI does: environment, arguments, and files where they are named.
pub(crate) struct Reader {
    pub(super) world: World,
    pub(super) vocabulary: Vocabulary,
    pub(super) held: Vec<Held>,
    /// The files and sections that are being read, each named by the one before.
    open: Vec<(PathBuf, String)>,
    /// The ini file that was named last, which a section without a file belongs to.
    last: Option<String>,
    first: Option<Magic>,
    block: Option<(Block, Origin)>,
    /// Names that a placeholder or a condition has asked for.
    pub(super) used: RefCell<BTreeSet<String>>,
}

/// What the grammar has to know of the keys.
#[derive(Clone, Copy)]
pub(crate) struct Vocabulary {
    /// Whether there is an option of this name, so that no variable can have it.
    pub(crate) is_option: fn(&str) -> bool,
    /// Whether the value of the option may have placeholders that stand for something else, and are left as they are.
    pub(crate) has_own_placeholders: fn(&str) -> bool,
}

pub(super) struct Held {
    pub(super) setting: Setting,
    /// Its value has no placeholders.
    pub(super) plain: bool,
}

impl Reader {
    pub(crate) fn new(world: World, vocabulary: Vocabulary) -> Reader {
        Reader { world, vocabulary, held: Vec::new(), open: Vec::new(), last: None, first: None, block: None, used: RefCell::default() }
    }

    /// Takes in the variables that set options.
    ///
    /// # Errors
    /// A file that one of them names.
    pub(crate) fn environment(&mut self) -> Result<(), Fault> {
        for (name, value) in self.world.variables.clone() {
            let Some(name) = name.to_str() else { continue };
            let (key, origin) = if let Some(key) = name.strip_prefix(OWN_PREFIX) {
                (key, Origin::Own(name.to_owned()))
            } else if let Some(key) = name.strip_prefix(FOREIGN_PREFIX).filter(|key| !NO_OPTIONS.contains(key)) {
                (key, Origin::Foreign(name.to_owned()))
            } else {
                continue;
            };
            self.give(&key.to_ascii_lowercase().replace('_', "-"), value, origin)?;
        }
        Ok(())
    }

    /// Takes in a key and its value, and whatever file they name.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub(crate) fn give(&mut self, key: &str, value: OsString, origin: Origin) -> Result<(), Fault> {
        if key.is_empty() {
            return Err(origin.fault("there is no key before the ="));
        }
        if logic::ends(key) {
            self.block = None;
            return self.hold(key, value, origin, Kind::Directive);
        }
        if logic::begins(key) {
            if let Some((_, begun)) = &self.block {
                return Err(origin.fault(format!("{key} is inside what begins at {begun}, and logic cannot be nested")));
            }
            let value = self.early(key, &value, &origin)?;
            let block = logic::begin(key, &value, &self.world, |name| self.raw(name)).map_err(|sentence| origin.fault(sentence))?;
            self.block = Some((block, origin.clone()));
            return self.hold(key, value.into(), origin, Kind::Directive);
        }
        match self.block.clone() {
            None => self.take(key, value, origin),
            Some((Block::When(holds, text), begun)) if key == "else" => {
                self.block = Some((Block::When(!holds, text), begun));
                self.hold(key, value, origin, Kind::Directive)
            }
            Some((Block::When(true, text), _)) => self.take(key, with_item(&value, &text), origin),
            Some((Block::When(false, _), begun)) => {
                let line = if let Origin::File(_, line) = begun { line } else { 0 };
                self.hold(key, value, origin, Kind::Skipped(line))
            }
            Some((Block::Repeat(items), _)) => items.iter().try_for_each(|item| self.take(key, with_item(&value, item), origin.clone())),
        }
    }

    /// Reads a file: ini, or TOML where its name says so.
    ///
    /// # Errors
    /// The file cannot be had, or something in it is not understood.
    pub(crate) fn load(&mut self, name: &str, origin: &Origin) -> Result<(), Fault> {
        match Path::new(name).extension().and_then(OsStr::to_str) {
            Some("toml") => self.load_toml(name, origin),
            Some("xml" | "yaml" | "yml" | "json" | "js" | "lua" | "db" | "sqlite") => {
                Err(origin.fault(format!("cannot read {name:?}: only ini and TOML files are understood")))
            }
            _ => self.load_ini(name, origin),
        }
    }

    /// All settings, in order, with every placeholder replaced, and the names of those that placeholders stand for.
    ///
    /// # Errors
    /// A placeholder that stands for nothing, or for itself.
    pub(crate) fn finish(self) -> Result<(Vec<Setting>, BTreeSet<String>), Fault> {
        self.closed(None)?;
        let mut values = self.unknown();
        for index in 0..self.held.len() {
            self.value_of(index, &mut values)?;
        }
        let settings = self.held.into_iter().zip(values.of).map(|(held, value)| match value {
            Value::Known(text) => Setting { value: text.into(), ..held.setting },
            _ => held.setting,
        });
        Ok((settings.collect(), self.used.into_inner()))
    }

    fn load_ini(&mut self, asked: &str, origin: &Origin) -> Result<(), Fault> {
        let (file, section) = self.file_and_section(asked, origin)?;
        let bytes = self.read(&file, origin)?;
        let shown: Rc<Path> = Path::new(&file).into();
        let at = |line| Origin::File(Rc::clone(&shown), line);
        // A comment may be in whatever its author's editor wrote.
        let text = String::from_utf8_lossy(&bytes);
        let is_text = |line: usize| bytes.split(|byte| *byte == b'\n').nth(line - 1).is_none_or(|line| std::str::from_utf8(line).is_ok());

        let magic = Magic::of(&self.world, &file, &section);
        let first = self.first.get_or_insert_with(|| magic.clone()).clone();
        self.last = Some(file.clone());
        let canonical = self.world.absolute(&file).canonicalize().unwrap_or_else(|_| file.clone().into());
        self.enter(canonical, &section, origin)?;
        let outer = self.block.take();

        let wanted = if section.is_empty() { DEFAULT_SECTION } else { &section };
        let mut inside = false;
        let mut found = false;
        for line in ini::lines(&text) {
            let origin = at(line.number);
            let replace = |text: &str| magic.replace(&first, &self.world, text).map_err(|sentence| origin.fault(sentence));
            let (key, value) = match line.content {
                Content::Section(name) => {
                    inside = replace(name)? == wanted;
                    found |= inside;
                    continue;
                }
                Content::Broken => return Err(origin.fault("a section begins with [ and ends with ]")),
                Content::Pair(..) if !inside => continue,
                Content::Pair(key, value) if (key.contains(LOST) || value.contains(LOST)) && !is_text(line.number) => {
                    return Err(origin.fault("expected UTF-8"));
                }
                Content::Pair(key, value) => (replace(key)?, replace(value)?),
            };
            self.give(&key, value.into(), origin)?;
        }
        if !found {
            return Err(origin.fault(format!("{file:?} has no section [{wanted}]")));
        }
        self.closed(Some(&shown))?;
        self.block = outer;
        self.open.pop();
        Ok(())
    }

    fn load_toml(&mut self, file: &str, origin: &Origin) -> Result<(), Fault> {
        let bytes = self.read(file, origin)?;
        let shown: Rc<Path> = Path::new(file).into();
        let at = |line| Origin::File(Rc::clone(&shown), line);
        let text = utf8(&bytes).map_err(|line| at(line).fault("expected UTF-8"))?;
        let canonical = self.world.absolute(file).canonicalize().unwrap_or_else(|_| file.into());
        self.enter(canonical, "", origin)?;
        let outer = self.block.take();
        for (key, value, line) in toml_file::pairs(text).map_err(|(line, sentence)| at(line).fault(sentence))? {
            let from = self.held.len();
            self.take(&key, value.into(), at(line))?;
            for held in &mut self.held[from..] {
                held.plain |= held.setting.origin == at(line);
            }
        }
        self.block = outer;
        self.open.pop();
        Ok(())
    }

    /// `FILE`, `FILE:SECTION`, or `:SECTION` of the file that was named last.
    fn file_and_section(&self, asked: &str, origin: &Origin) -> Result<(String, String), Fault> {
        if asked.is_empty() {
            return Err(origin.fault("expected the name of a file"));
        }
        if asked == "-" || asked.contains("://") {
            return Err(origin.fault(format!("cannot read {asked:?}: expected the name of a file, for nothing else is read")));
        }
        let (file, section) = match asked.rsplit_once(':') {
            Some((file, section)) if !self.world.absolute(asked).is_file() => (file, section),
            _ => (asked, ""),
        };
        match (file, &self.last) {
            ("", Some(last)) => Ok((last.clone(), section.to_owned())),
            ("", None) => Err(origin.fault(format!("{asked:?} is a section of the ini file that was named before, and there is none"))),
            _ => Ok((file.to_owned(), section.to_owned())),
        }
    }

    fn read(&self, file: &str, origin: &Origin) -> Result<Vec<u8>, Fault> {
        self.world.read(file).map_err(|error| {
            let mut sentence = format!("cannot read {file:?}: {error}");
            if let Origin::File(path, _) = origin {
                let beside = path.with_file_name(file);
                if beside != Path::new(file) && self.world.directory.join(&beside).is_file() {
                    sentence += &format!("; there is {beside:?}, which %d{file} names");
                }
            }
            origin.fault(sentence)
        })
    }

    fn enter(&mut self, file: PathBuf, section: &str, origin: &Origin) -> Result<(), Fault> {
        let section = section.to_owned();
        if self.open.iter().any(|(open, of)| *open == file && *of == section) {
            let shown = |(file, section): &(PathBuf, String)| {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if section.is_empty() { name } else { format!("{name}:{section}") }
            };
            let chain: Vec<String> = self.open.iter().chain([&(file, section)]).map(shown).collect();
            return Err(origin.fault(format!("files include each other in a loop: {}", chain.join(", "))));
        }
        if self.open.len() >= DEEPEST {
            return Err(origin.fault(format!("more than {DEEPEST} files include each other")));
        }
        self.open.push((file, section));
        Ok(())
    }

    /// Acts upon a directive, and holds everything else.
    fn take(&mut self, key: &str, value: OsString, origin: Origin) -> Result<(), Fault> {
        match key {
            "ini" | "include" | "config" => {
                let name = self.early(key, &value, &origin)?;
                self.hold(key, name.clone().into(), origin.clone(), Kind::Directive)?;
                if key == "ini" { self.load_ini(&name, &origin) } else { self.load(&name, &origin) }
            }
            "set" | "set-ph" | "set-placeholder" => {
                let text = utf8_value(key, &value, &origin)?;
                let (name, value) = text.split_once('=').ok_or_else(|| origin.fault(format!("{key} {text:?}: expected NAME=VALUE")))?;
                let (name, value) = (name.trim(), value.trim());
                let kind = match (key, (self.vocabulary.is_option)(name)) {
                    ("set", true) => return self.take(name, value.into(), origin),
                    (_, true) => return Err(origin.fault(format!("{name} is an option, and cannot be a placeholder"))),
                    (_, false) => Kind::Variable,
                };
                self.hold(name, value.into(), origin, kind)
            }
            _ => self.hold(key, value, origin, Kind::Given),
        }
    }

    fn hold(&mut self, key: &str, value: OsString, origin: Origin, kind: Kind) -> Result<(), Fault> {
        if value.as_encoded_bytes().contains(&0) || key.contains('\0') {
            return Err(origin.fault(format!("the value of {} has a NUL byte", key.replace('\0', "\\0"))));
        }
        if self.held.len() >= MOST {
            return Err(origin.fault(format!("more than {MOST} settings")));
        }
        let plain = matches!(kind, Kind::Directive | Kind::Skipped(_));
        self.held.push(Held { setting: Setting { key: key.to_owned(), value, origin, kind }, plain });
        Ok(())
    }

    /// That no block is left open: at the end of a file, or at the end of all.
    fn closed(&self, file: Option<&Rc<Path>>) -> Result<(), Fault> {
        match &self.block {
            Some((_, begun)) if file.is_none_or(|file| matches!(begun, Origin::File(path, _) if path == file)) => {
                Err(begun.fault("what begins here has no end: write endif or endfor"))
            }
            _ => Ok(()),
        }
    }

    /// The value of something that has its effect at once, by what is known so far.
    fn early(&self, key: &str, value: &OsStr, origin: &Origin) -> Result<String, Fault> {
        let text = utf8_value(key, value, origin)?;
        self.expanded(key, text, origin, &mut self.unknown())
    }

    /// The value as it was written, of the first setting of this name.
    fn raw(&self, name: &str) -> Option<String> {
        self.index_of(name).map(|index| self.held[index].setting.value.to_string_lossy().into_owned())
    }
}

fn with_item(value: &OsStr, item: &str) -> OsString {
    value.to_str().map_or_else(|| value.to_owned(), |text| text.replace("%(_)", item).into())
}

fn utf8_value<'a>(key: &str, value: &'a OsStr, origin: &Origin) -> Result<&'a str, Fault> {
    value.to_str().ok_or_else(|| origin.fault(format!("{key} {value:?}: expected UTF-8")))
}

/// The text, or the line that is none.
fn utf8(bytes: &[u8]) -> Result<&str, usize> {
    std::str::from_utf8(bytes).map_err(|error| 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count())
}

/// What stands in place of bytes that are no text.
const LOST: char = char::REPLACEMENT_CHARACTER;
const DEFAULT_SECTION: &str = "uwsgi";
const FOREIGN_PREFIX: &str = "UWSGI_";
/// Of variables that set options of this program.
pub(crate) const OWN_PREFIX: &str = "WSGI_SERVE_";
/// What uWSGI tells its own processes, mostly.
const NO_OPTIONS: &[&str] = &[
    // How images name the one that they install.
    "VERSION",
    "RELOADS",
    "VASSALS_DIR",
    "EMPEROR_FD",
    "BROODLORD_NUM",
    "EMPEROR_FD_CONFIG",
    "EMPEROR_PROXY",
    "JAIL_PID",
    "ORIGINAL_PROC_NAME",
];
const DEEPEST: usize = 50;
const MOST: usize = 10_000;
