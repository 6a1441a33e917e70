//! Starting CPython with a configuration of ours. Nothing here decides anything: it hands over what `InterpreterBuilder` and `home` have settled.
//!
//! PyO3 has no safe wrapper for `PyConfig`, so this is the one file of the interpreter's set-up that is not safe Rust.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pyo3::ffi;

/// What CPython is started with.
pub(super) struct Configuration<'a> {
    /// The executable that Python takes itself for, from which it finds its virtualenv and its standard library.
    pub(super) program: Option<&'a Path>,
    /// The prefix that holds the standard library, where there is no executable to find it from.
    pub(super) prefix: Option<&'a Path>,
    pub(super) argv: &'a [OsString],
}

/// Whether Python runs in this process, whoever started it.
pub(super) fn is_initialised() -> bool {
    // SAFETY: may be called at any time.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// The linked libpython's version, such as `3.11.7 (main, Jan  1 2024, 00:00:00) [GCC 12.2.0]`. Python need not run.
pub(super) fn version() -> &'static str {
    // SAFETY: may be called at any time; the text is static, and ASCII.
    let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) };
    text.to_str().unwrap_or_default()
}

/// The file that the linked libpython was loaded from, links resolved. This program's own file if libpython is part of it.
pub(super) fn library() -> Option<PathBuf> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // The version's text lies in libpython itself, where the address of a function may be that of a stub in this program.
    // SAFETY: `dladdr` takes any address, and fills `found` if it does not return 0; `dli_fname` lives as long as the library is loaded.
    let path = unsafe {
        if libc::dladdr(ffi::Py_GetVersion().cast(), found.as_mut_ptr()) == 0 {
            return None;
        }
        let name = found.assume_init().dli_fname;
        if name.is_null() {
            return None;
        }
        PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()))
    };
    path.canonicalize().ok()
}

/// Starts Python on the calling thread, which becomes Python's main thread, and detaches from it.
///
/// # Errors
/// What CPython says. It cannot be started again in this process then.
pub(super) fn start(configuration: &Configuration<'_>) -> Result<(), String> {
    preinitialise()?;
    let mut config = Config::new();
    // SAFETY: `config` was initialised by `Config::new`, and the strings live in it.
    unsafe {
        config.0.parse_argv = 0;
        // Signals are the program's, not Python's.
        config.0.install_signal_handlers = 0;
        if let Some(program) = configuration.program {
            let field = &raw mut config.0.program_name;
            config.set(field, program.as_os_str())?;
        }
        if let Some(prefix) = configuration.prefix {
            let field = &raw mut config.0.home;
            config.set(field, prefix.as_os_str())?;
        }
        config.set_argv(configuration.argv)?;
        check(ffi::Py_InitializeFromConfig(&raw const config.0))?;
        // The thread state stays this thread's: a later `attach` on this thread takes it up again.
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

/// Settles locale and encodings as the program `python` does, and not as embedding does by default: in the C and POSIX locales, or if the
/// locale is not installed, file names and standard streams are UTF-8 instead of ASCII (PEP 538, PEP 540).
fn preinitialise() -> Result<(), String> {
    let mut config = MaybeUninit::<ffi::PyPreConfig>::zeroed();
    // SAFETY: the first call initialises the structure that the others use.
    unsafe {
        ffi::PyPreConfig_InitPythonConfig(config.as_mut_ptr());
        let mut config = config.assume_init();
        config.parse_argv = 0;
        check(ffi::Py_PreInitialize(&raw const config))
    }
}

/// A `PyConfig` that is cleared when it goes.
struct Config(ffi::PyConfig);

impl Config {
    fn new() -> Config {
        let mut config = MaybeUninit::<ffi::PyConfig>::zeroed();
        // SAFETY: the call initialises every field.
        unsafe {
            ffi::PyConfig_InitPythonConfig(config.as_mut_ptr());
            Config(config.assume_init())
        }
    }

    /// # Safety
    /// `field` must be one of this configuration's own strings.
    unsafe fn set(&mut self, field: *mut *mut libc::wchar_t, text: &OsStr) -> Result<(), String> {
        let text = c_string(text)?;
        // SAFETY: as the caller promises; `text` ends in NUL and is copied.
        check(unsafe { ffi::PyConfig_SetBytesString(&raw mut self.0, field, text.as_ptr()) })
    }

    fn set_argv(&mut self, argv: &[OsString]) -> Result<(), String> {
        let argv = argv.iter().map(|argument| c_string(argument)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = argv.iter().map(|argument| argument.as_ptr()).collect();
        // SAFETY: the pointers are as many as said, each to a text that ends in NUL and that is copied.
        check(unsafe { ffi::PyConfig_SetBytesArgv(&raw mut self.0, pointers.len() as ffi::Py_ssize_t, pointers.as_mut_ptr()) })
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`.
        unsafe { ffi::PyConfig_Clear(&raw mut self.0) };
    }
}

fn c_string(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|_| format!("{text:?} holds a NUL"))
}

/// The answer of a function of CPython's set-up. The obvious counterpart in the C API, `Py_ExitStatusException`, would end the process.
fn check(status: ffi::PyStatus) -> Result<(), String> {
    // SAFETY: these only look at the value; the message is static text.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        if ffi::PyStatus_IsExit(status) != 0 {
            let code: c_int = status.exitcode;
            return Err(format!("it asked to exit with code {code}"));
        }
        if status.err_msg.is_null() {
            return Err("it gave no reason".to_owned());
        }
        let reason = CStr::from_ptr(status.err_msg).to_string_lossy();
        // How CPython says it, whose first import is of the package `encodings`.
        let hint = if reason.contains("encoding") { ": its standard library was not found, name an installation as home" } else { "" };
        Err(format!("{reason}{hint}"))
    }
}
