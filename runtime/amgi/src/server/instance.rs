//! What an instance is called where nobody names it: by its program, and by its machine.

/// Name of the program, without its ending: the same after a restart, and on every machine. `application` where the system
/// does not say it.
///
/// ```
/// assert!(!amgi::server::program_name().is_empty());
/// ```
pub fn program_name() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "application".to_owned())
}

/// Name of this machine: the same after a restart, another one on another machine.
///
/// ```
/// assert_eq!(amgi::server::host_name(), amgi::server::host_name());
/// ```
#[cfg(all(feature = "host-name", unix))]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Name of this machine: the same after a restart, another one on another machine. `host` where the system does not say it.
#[cfg(all(feature = "host-name", not(unix)))]
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned())
}
