//! Lets the programs of this package find libpython at run time, also where it lies outside the loader's path, and tells them which Python
//! that is, so that the environment with the frameworks is made by the same one.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    println!("cargo:rustc-env=WSGI_TESTS_PYTHON={}", python.executable().unwrap_or("python3"));
    println!("cargo:rustc-env=WSGI_TESTS_PYTHON_VERSION={}", python.version());
}
