//! The applications that were asked for, imported and put under one roof.

use wsgi_core::Mount;
use wsgi_core::wsgi::{Application, ImportError, Interpreter};

use crate::Failure;
use crate::options::Target;
use crate::seeing::Seeing;
use crate::welcome;

/// Imports every application, and says of each in a line what it is. Without any, there is a page that says that the server works.
///
/// # Errors
/// The first application that cannot be imported.
pub(crate) fn load(
    interpreter: &Interpreter,
    targets: Vec<(String, Target)>,
    callable: &str,
    seeing: &Seeing,
) -> Result<(Mount, Vec<String>), Failure> {
    if targets.is_empty() {
        let line = "no application: serving a page that says that it works, --module or --wsgi-file serves yours".to_owned();
        return Ok((Mount::new().otherwise(welcome::application().map_err(Failure::set_up)?), vec![line]));
    }
    let mut mount = Mount::new();
    let mut lines = Vec::new();
    for (prefix, target) in targets {
        let (application, name) = import(interpreter, &target, callable).map_err(Failure::Import)?;
        let application = seeing.application(application);
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
        Target::File(path) => Ok((interpreter.load_file(path, callable)?, format!("{}:{callable}", path.display()))),
    }
}
