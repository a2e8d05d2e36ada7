//! What a crate has for Python: a module of its library's name, which AMGI servers of Python are told of together with addresses.

use serde::Serialize;

use super::view::{dependency, spoken, word};
use crate::{ir::Api, settings::Settings};

/// Names that a module of Python cannot have, or that Python's own modules have: these are found first. Those of Rust's
/// keywords are no name of a package anyway.
const TAKEN: &str = "and assert class def del elif except finally from global import is lambda none nonlocal not or pass raise with \
    amgi_types asyncfast \
    abc argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 calendar cgi cgitb chunk \
    cmath cmd code codecs codeop collections colorsys compileall compression concurrent configparser contextlib contextvars copy \
    copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum \
    errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc getopt getpass gettext glob graphlib grp gzip \
    hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache \
    locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder multiprocessing netrc nis nntplib numbers opcode \
    operator optparse os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint \
    profile pstats pty pwd py_compile pyclbr pydoc queue quopri random re readline reprlib resource rlcompleter runpy sched secrets \
    select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 ssl stat statistics string \
    stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this \
    threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle types typing unicodedata unittest \
    urllib uu uuid venv warnings wave weakref webbrowser wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo";

/// Whether Python would not find a module of this name.
pub(crate) fn is_taken(library: &str) -> bool {
    TAKEN.split_whitespace().any(|taken| taken == library)
}

/// AMGI servers of Python: the feature of ours for the same protocol, the package, the command of `asyncfast run`, and the
/// addresses that it takes.
const SERVERS: &[(&str, &str, &str, Takes)] = &[
    ("amqp", "amgi-aio-pika", "amgi-aio-pika", Takes::All),
    ("http", "amgi-cloudevents", "amgi-cloudevents-uvicorn", Takes::None),
    ("kafka", "amgi-aiokafka", "amgi-aiokafka", Takes::All),
    ("mqtt", "amgi-paho-mqtt", "amgi-paho-mqtt", Takes::Topic),
    ("nats", "amgi-nats", "amgi-nats-push", Takes::All),
    ("redis", "amgi-redis", "amgi-redis", Takes::All),
    ("sqs", "amgi-aiobotocore", "amgi-aiobotocore-sqs", Takes::All),
];

/// What a server is told to receive from.
#[derive(Clone, Copy)]
enum Takes {
    /// Addresses.
    All,
    /// One topic of MQTT, which may have wildcards.
    Topic,
    /// Nothing: what comes says its address.
    None,
}

/// What templates see of Python.
#[derive(Debug, Serialize)]
pub(super) struct Python<'a> {
    /// Where `amgi-python` is found, as TOML.
    dependency: String,
    /// The server of the document's protocol: its package.
    server: &'static str,
    /// And its command.
    command: &'static str,
    /// Words of a shell: the application, the addresses that are received from, and `ADDRESS...` where not all are known.
    arguments: Vec<String>,
    /// Addresses with parameters, which are received from.
    parameters: Vec<&'a str>,
    /// What to subscribe to, one at a time, where the server takes one alone.
    topics: Vec<String>,
}

impl<'a> Python<'a> {
    pub(super) fn of(api: &'a Api, settings: &Settings, library: &str) -> Option<Self> {
        if !settings.python {
            return None;
        }
        let dependency = dependency(&settings.runtime, "amgi-python", &[], true);
        let mut addresses: Vec<Option<&str>> =
            api.handled().map(|(channel, _)| channel.address.as_deref()).collect();
        // The same address may be that of several channels.
        addresses.sort_unstable();
        addresses.dedup();
        let protocol = spoken(api).map_or("kafka", |(feature, _)| feature);
        let &(_, server, command, takes) = SERVERS.iter().find(|(feature, ..)| *feature == protocol)?;
        let arguments = vec![format!("{library}:app")];
        let mut python =
            Self { dependency, server, command, arguments, topics: Vec::new(), parameters: Vec::new() };
        match takes {
            Takes::None => {}
            Takes::Topic => {
                let topics = addresses.iter().map(|address| address.map_or("ADDRESS".to_owned(), topic));
                python.topics = topics.collect();
                python.arguments.extend(python.topics.first().map(|topic| word(topic)));
            }
            Takes::All => {
                let known = addresses.iter().copied().flatten();
                let (parameters, plain): (Vec<_>, Vec<_>) = known.partition(|address| address.contains('{'));
                python.arguments.extend(plain.into_iter().map(word));
                if !parameters.is_empty() || addresses.contains(&None) {
                    python.arguments.push("ADDRESS...".to_owned());
                }
                python.parameters = parameters;
            }
        }
        Some(python)
    }
}

/// What MQTT subscribes to for an address.
fn topic(address: &str) -> String {
    let levels = address.split('/').map(|level| if level.contains('{') { "+" } else { level });
    levels.collect::<Vec<_>>().join("/")
}
