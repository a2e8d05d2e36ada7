//! What the builders of servers have in common, written once, for crates of servers.

/// The options of a server, as one source says them: `Options`, whose fields are `None` where it says nothing, and
/// `Options::over`, which puts one source over another.
#[doc(hidden)]
#[macro_export]
macro_rules! server_options {
    ($($(#[$docs:meta])* $field:ident: $ty:ty,)+) => {
        /// Where one source says nothing, the field is `None`.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Options {
            $($(#[$docs])* pub(crate) $field: Option<$ty>,)+
        }

        impl Options {
            /// These options, and `under` where they say nothing.
            fn over(self, under: Self) -> Self {
                Self { $($field: self.$field.or(under.$field),)+ }
            }
        }
    };
}

/// The methods of `Server`: one that sets each of `options`, which has the documentation that is given, and those that every
/// server has. They set the fields `options`, `named`, `policy`, `stop`, `on_ready` and `given`.
#[doc(hidden)]
#[macro_export]
macro_rules! server_builder {
    (
        protocol $protocol:literal;
        environment $environment:literal;
        info $info:path;
        $(#[$policy:meta])+
        policy;
        $(#[$on_ready:meta])+
        on_ready;
        options {$(
            $(#[$docs:meta])+
            $name:ident($argument:ident: $ty:ty);
        )+}
    ) => {
        $(
            $(#[$docs])+
            pub fn $name(mut self, $argument: $ty) -> Self {
                self.options.$name = Some($argument.into());
                self
            }
        )+

        /// Which of the document's servers is meant, by its key.
        #[doc = concat!("Default: the first that speaks ", $protocol, ".")]
        /// Channels that the document puts on other servers only are left out.
        pub fn server(mut self, name: impl Into<String>) -> Self {
            self.named = Some(name.into());
            self
        }

        $(#[$policy])+
        pub fn policy(mut self, policy: $crate::server::Policy) -> Self {
            self.policy = policy;
            self
        }

        /// Stops the server when this handle is asked to. Default: a handle of its own; SIGTERM and Ctrl-C stop it in any case.
        pub fn stop(mut self, stop: &$crate::server::Stop) -> Self {
            self.stop = stop.clone();
            self
        }

        $(#[$on_ready])+
        pub fn on_ready(mut self, ready: impl Fn() + Send + Sync + 'static) -> Self {
            self.on_ready = Some(std::sync::Arc::new(ready));
            self
        }

        /// Lets the environment override everything else: each of [`protocol`](crate::protocol)'s options
        #[doc = concat!("is a variable, such as `", $environment, "URL` and `", $environment, "SHUTDOWN_DEADLINE`,")]
        /// with times in seconds; `run --help` of a generated application lists them. Default: the environment is not read.
        pub fn env(self) -> Self {
            self.values($info.environment())
        }

        /// Lets these values, from a command line perhaps, override everything else. Their names are those of
        /// [`protocol`](crate::protocol)'s options. Default: none.
        pub fn values(mut self, values: $crate::protocol::Values) -> Self {
            self.given = values;
            self
        }
    };
}
