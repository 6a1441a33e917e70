//! The applications that were asked for, imported and put under one roof.

use wsgi_core::Mount;
use wsgi_core::wsgi::{Application, ImportError, Interpreter};

use crate::Failure;
use crate::options::Target;
use crate::welcome;

/// Says of each application in a line what it is.
pub(crate) fn describe(targets: &[(String, Target)], callable: &str) -> Vec<String> {
    if targets.is_empty() {
        return vec!["no application: serving a page that says that it works, --module or --wsgi-file serves yours".to_owned()];
    }
    let line = |(prefix, target): &(String, Target)| {
        let name = name(target, callable);
        if prefix == "/" { format!("application {name}") } else { format!("application {name} at {prefix}") }
    };
    targets.iter().map(line).collect()
}

/// Imports every application. Without any, there is a page that says that the server works.
///
/// # Errors
/// The first application that cannot be imported.
pub(crate) fn load(interpreter: &Interpreter, targets: Vec<(String, Target)>, callable: &str) -> Result<Mount, Failure> {
    if targets.is_empty() {
        return Ok(Mount::new().otherwise(welcome::application().map_err(Failure::set_up)?));
    }
    let mut mount = Mount::new();
    for (prefix, target) in targets {
        let application = import(interpreter, &target, callable).map_err(Failure::Import)?;
        mount = if prefix == "/" { mount.otherwise(application) } else { mount.at(&prefix, application) };
    }
    Ok(mount)
}

fn import(interpreter: &Interpreter, target: &Target, callable: &str) -> Result<Application, ImportError> {
    match target {
        Target::Module(_) => interpreter.load(&name(target, callable)),
        Target::File(path) => interpreter.load_file(path, callable),
    }
}

/// The application as one writes it: `MODULE:CALLABLE`, or the same with a file.
fn name(target: &Target, callable: &str) -> String {
    match target {
        Target::Module(module) if module.contains(':') => module.clone(),
        Target::Module(module) => format!("{module}:{callable}"),
        Target::File(path) => format!("{}:{callable}", path.display()),
    }
}
