//! What a value is once its placeholders are replaced.

use super::expand::expand;
use super::reader::{Held, Reader};
use super::{Fault, Kind, Origin, math};

/// The values of all settings, as far as they are known, and how many are being found out.
pub(super) struct Values {
    pub(super) of: Vec<Value>,
    busy: usize,
}

/// How far the value of a setting is known.
#[derive(Clone)]
pub(super) enum Value {
    Raw,
    Busy,
    Known(String),
}

impl Reader {
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.used.borrow_mut().insert(name.to_owned());
        self.held.iter().position(|held| held.setting.key == name && !matches!(held.setting.kind, Kind::Skipped(_)))
    }

    pub(super) fn unknown(&self) -> Values {
        Values { of: vec![Value::Raw; self.held.len()], busy: 0 }
    }

    pub(super) fn value_of(&self, index: usize, values: &mut Values) -> Result<String, Fault> {
        let Held { setting, plain } = &self.held[index];
        match &values.of[index] {
            Value::Known(text) => return Ok(text.clone()),
            Value::Busy => return Err(setting.origin.fault(format!("the placeholder %({}) stands for itself", setting.key))),
            Value::Raw => {}
        }
        // What is not UTF-8 has come from the command line or the environment, and holds no placeholder that could be understood.
        let Some(text) = setting.value.to_str().filter(|_| !plain) else {
            return Ok(setting.value.to_string_lossy().into_owned());
        };
        values.of[index] = Value::Busy;
        values.busy += 1;
        if values.busy > LONGEST_CHAIN {
            return Err(setting.origin.fault(format!("more than {LONGEST_CHAIN} placeholders stand for each other")));
        }
        let text = self.expanded(&setting.key, text, &setting.origin, values)?;
        values.of[index] = Value::Known(text.clone());
        values.busy -= 1;
        Ok(text)
    }

    pub(super) fn expanded(&self, key: &str, text: &str, origin: &Origin, values: &mut Values) -> Result<String, Fault> {
        if !text.contains('(') {
            return Ok(text.to_owned());
        }
        let fault = |sentence: String| origin.fault(sentence);
        let lenient = (self.vocabulary.has_own_placeholders)(key);
        let text = expand(text, '$', |name| match self.variable(name) {
            None if !lenient => {
                Err(format!("the variable {name} is not set, for which {key} has the placeholder $({name}): $({name}:-x) is x then"))
            }
            value => Ok(value),
        })
        .map_err(fault)?;
        let text = expand(&text, '@', |name| self.file(name).map(Some)).map_err(fault)?;
        // Carried past `expand`, whose errors have no origin of their own.
        let mut inner = None;
        let expanded = expand(&text, '%', |name| {
            let mut look = |name: &str| match self.index_of(name) {
                Some(index) => self.value_of(index, values).map(Some).map_err(|fault| {
                    inner.get_or_insert(fault);
                    String::new()
                }),
                None => Ok(None),
            };
            if name.contains(' ') {
                return math::evaluate(name, look).map(Some);
            }
            match look(name)? {
                None if !lenient => Err(format!("nothing is called {name:?}, for which {key} has the placeholder %({name})")),
                value => Ok(value),
            }
        });
        expanded.map_err(|sentence| inner.unwrap_or_else(|| fault(sentence)))
    }

    /// `NAME`, `NAME:-DEFAULT` for a variable that is not set or empty, `NAME-DEFAULT` for one that is not set.
    fn variable(&self, name: &str) -> Option<String> {
        let get = |name: &str| self.world.variable(name).map(|value| value.to_string_lossy().into_owned());
        if let Some((name, default)) = name.split_once(":-") {
            Some(get(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()))
        } else if let Some((name, default)) = name.split_once('-') {
            Some(get(name).unwrap_or_else(|| default.to_owned()))
        } else {
            get(name)
        }
    }

    /// The text of a file, without the end of its last line.
    fn file(&self, name: &str) -> Result<String, String> {
        if name.contains("://") {
            return Err(format!("cannot read @({name}): expected the name of a file, for nothing else is read"));
        }
        let bytes = self.world.read(name).map_err(|error| format!("cannot read @({name}): {error}"))?;
        let text = String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| format!("cannot read @({name}): expected UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}

const LONGEST_CHAIN: usize = 50;
