#![doc = include_str!("../README.md")]

pub mod convert;

mod app;
mod docs;
mod event_loop;

use amgi::Application;
use pyo3::{exceptions::PyImportError, prelude::*};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[doc(hidden)]
pub use pyo3;

pub use crate::{
    app::App,
    event_loop::{EventLoop, Job, Jobs, Replied, Reply, Running, run, runtime},
};

/// Makes a Python module of an application: a module of that name, which has `app`.
///
/// The crate is a `cdylib`, and its library has that name. The second argument makes the [`App`] when Python imports the module; its
/// error is an `ImportError` there.
///
/// ```ignore
/// amgi_python::module!("users", || Ok(amgi_python::App::new(user::DOCUMENT, || user::app(Users))));
/// ```
#[macro_export]
macro_rules! module {
    ($name:literal, $make:expr) => {
        #[$crate::pyo3::pymodule]
        #[pyo3(crate = "::amgi_python::pyo3", name = $name)]
        fn amgi_module(
            module: &$crate::pyo3::Bound<'_, $crate::pyo3::types::PyModule>,
        ) -> $crate::pyo3::PyResult<()> {
            $crate::fill(module, $make)
        }
    };
}

/// What [`module!`] does.
///
/// # Errors
/// What `make` says, and what Python raises.
#[doc(hidden)]
pub fn fill<F: Fn() -> A + Send + Sync + 'static, A: Application>(
    module: &Bound<'_, PyModule>,
    make: impl FnOnce() -> amgi::Result<App<F>>,
) -> PyResult<()> {
    log();
    let app = make().map_err(|error| PyImportError::new_err(error.to_string()))?;
    module.setattr("__doc__", docs::text(app.document()))?;
    module.add("__version__", app.document().version)?;
    module.add("app", app.into_py(module)?)
}

/// Logs to standard error as `RUST_LOG` says, unless the module does something about logs itself.
pub fn log() {
    let filter = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}
