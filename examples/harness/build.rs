//! Lets the tests find libpython at run time, also where it lies outside the loader's path.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
