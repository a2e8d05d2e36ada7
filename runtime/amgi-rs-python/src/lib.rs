#![doc = include_str!("../README.md")]

mod application;
mod servers;

use pyo3::prelude::*;

use crate::{
    application::{Line, SendError},
    servers::Server,
};

/// What the Python half of the package is built on.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    amgi_python::log();
    module.add_class::<Line>()?;
    module.add_class::<Server>()?;
    module.add_class::<amgi_python::EventLoop>()?;
    module.add("SendError", module.py().get_type::<SendError>())
}
