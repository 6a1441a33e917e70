//! The applications that were asked for, imported and put under one roof.

use wsgi_core::Mount;
use wsgi_core::wsgi::{Application, ImportError, Interpreter};

use crate::Failure;
use crate::options::Target;
use crate::welcome;

/// Imports every application, and says of each in a line what it is. Without any, there is a page that says that the server works, unless files are
/// served: then what is no file is not there.
///
/// # Errors
/// The first application that cannot be imported.
pub(crate) fn load(
    interpreter: &Interpreter,
    targets: Vec<(String, Target)>,
    callable: &str,
    files: bool,
) -> Result<(Mount, Vec<String>), Failure> {
    if targets.is_empty() && files {
        return Ok((Mount::new(), vec!["no application: what is not a file is answered with 404".to_owned()]));
    }
    if targets.is_empty() {
        let line = "no application: serving a page that says that it works, --module or --wsgi-file serves yours".to_owned();
        return Ok((Mount::new().otherwise(welcome::application().map_err(Failure::set_up)?), vec![line]));
    }
    let mut mount = Mount::new();
    let mut lines = Vec::new();
    for (prefix, target) in targets {
        let (application, name) = import(interpreter, &target, callable).map_err(|error| explain(interpreter, error))?;
        if prefix == "/" {
            lines.push(format!("application {name}"));
            mount = mount.otherwise(application);
        } else {
            lines.push(format!("application {name} at {prefix}"));
            mount = mount.at(&prefix, application);
        }
    }
    Ok((mount, lines))
}

fn import(interpreter: &Interpreter, target: &Target, callable: &str) -> Result<(Application, String), ImportError> {
    match target {
        Target::Module(module) => {
            let target = if module.contains(':') { module.clone() } else { format!("{module}:{callable}") };
            Ok((interpreter.load(&target)?, target))
        }
        Target::File(path, named) => {
            let callable = named.as_deref().unwrap_or(callable);
            Ok((interpreter.load_file(path, callable)?, format!("{}:{callable}", path.display())))
        }
    }
}

/// Sees a callable that was written behind a dot instead of a colon: `mysite.wsgi.application`.
fn explain(interpreter: &Interpreter, error: ImportError) -> Failure {
    if let ImportError::NoModule { target, missing, .. } = &error {
        let module = target.split_once(':').map_or(target.as_str(), |(module, _)| module);
        if let Some((parent, callable)) = module.rsplit_once('.').filter(|_| missing == module) {
            let meant = format!("{parent}:{callable}");
            if interpreter.load(&meant).is_ok() {
                return Failure::SetUp(format!("cannot import {target:?}: no module named {missing:?}; did you mean {meant}?"));
            }
        }
    }
    Failure::Import(error)
}
