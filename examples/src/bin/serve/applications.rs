//! The applications that were asked for, imported and put under one roof.

use wsgi_core::Mount;
use wsgi_core::wsgi::{Application, ImportError, Interpreter};

use crate::Failure;
use crate::options::{Settings, Target};
use crate::seeing::Seeing;
use crate::welcome;

/// Says of each application in a line what it is.
pub(crate) fn describe(targets: &[(String, Target)], settings: &Settings) -> Vec<String> {
    if targets.is_empty() {
        return vec![if settings.static_files.places.is_empty() {
            "no application: serving a page that says that it works, --module or --wsgi-file serves yours".to_owned()
        } else {
            "no application: what is not a file is answered with 404".to_owned()
        }];
    }
    let line = |(prefix, target): &(String, Target)| {
        let name = name(target, &settings.callable);
        if prefix == "/" { format!("application {name}") } else { format!("application {name} at {prefix}") }
    };
    targets.iter().map(line).collect()
}

/// Imports every application. Without any, there is a page that says that the server works, unless files are served: then what is no file is not
/// there.
///
/// # Errors
/// The first application that cannot be imported.
pub(crate) fn load(
    interpreter: &Interpreter,
    targets: Vec<(String, Target)>,
    settings: &Settings,
    seeing: &Seeing,
) -> Result<Mount, Failure> {
    if targets.is_empty() {
        let mount = Mount::new();
        let welcomes = settings.static_files.places.is_empty();
        return if welcomes { Ok(mount.otherwise(welcome::application().map_err(Failure::set_up)?)) } else { Ok(mount) };
    }
    let mut mount = Mount::new();
    for (prefix, target) in targets {
        let application = import(interpreter, &target, &settings.callable).map_err(|error| explain(interpreter, error))?;
        let application = seeing.application(application).unsized_body(settings.requests.unsized_body(&settings.limits));
        mount = if prefix == "/" { mount.otherwise(application) } else { mount.at(&prefix, application) };
    }
    Ok(mount)
}

fn import(interpreter: &Interpreter, target: &Target, callable: &str) -> Result<Application, ImportError> {
    match target {
        Target::Module(_) => interpreter.load(&name(target, callable)),
        Target::File(path, named) => interpreter.load_file(path, named.as_deref().unwrap_or(callable)),
    }
}

/// The application as one writes it: `MODULE:CALLABLE`, or the same with a file.
fn name(target: &Target, callable: &str) -> String {
    match target {
        Target::Module(module) if module.contains(':') => module.clone(),
        Target::Module(module) => format!("{module}:{callable}"),
        Target::File(path, named) => format!("{}:{}", path.display(), named.as_deref().unwrap_or(callable)),
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
    // Most often it is installed, in a virtualenv that nobody has named.
    let lacks_a_package = matches!(&error, ImportError::Raised { exception, .. } if exception.starts_with("ModuleNotFoundError"));
    let hint = if lacks_a_package && interpreter.prefix() == interpreter.base_prefix() {
        "; no virtualenv is in use, --home names one"
    } else {
        ""
    };
    Failure::Import(error, hint)
}
