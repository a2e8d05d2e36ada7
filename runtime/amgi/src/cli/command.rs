//! The grammar of the command line, and what `--help` says about the document.

use std::fmt::Write as _;

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValuesParser, StyledStr},
    value_parser,
};
use clap_complete::Shell;

use crate::{
    Result,
    address::Pattern,
    contract::{Document, MessageType, Place},
    error::Error,
    protocol::{OptionInfo, ProtocolInfo},
};

/// The command line of a document's application with these protocols, the in-memory server last.
pub(super) fn command(program: &str, document: &Document, protocols: &[&'static ProtocolInfo]) -> Command {
    let log = Arg::new("log")
        .long("log")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .global(true)
        .help("How logs are written; RUST_LOG says which");
    let run = open_address(
        Command::new("run")
            .about("Receives messages from servers until it is stopped")
            .arg(Arg::new("SERVER").num_args(0..).help(
                "A server of the document, a URL, NAME=URL, or `memory`; `?option=value` behind it is for this one \
                 only. Default: the document's only server",
            ))
            .arg(examples())
            .after_help(crate::memory::LINES),
        document,
    );
    let send = Command::new("send")
        .about("Sends a message; its payload is read from standard input")
        .arg(one_of("OPERATION", document.sends.iter().map(|send| send.name)).help("A send operation"))
        .arg(Arg::new("server").long("server").value_name("SERVER").help("Where to, as in `run`"))
        .arg(many("param", "NAME=VALUE").help("A parameter of the address"))
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("ADDRESS")
                .help("The address, where the document leaves it open"),
        )
        .args(parts())
        .arg(Arg::new("print").long("print").action(ArgAction::SetTrue).help("Only show what would be sent"));
    let validate = Command::new("validate")
        .about("Says which message standard input is, or everything that is wrong with it")
        .arg(one_of("CHANNEL", places(document).iter().map(|(place, _)| place.name)).help("A channel"))
        .args(parts());
    let asyncapi = Command::new("asyncapi")
        .about("Prints the document that the application was generated from")
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON"))
        .arg(
            Arg::new("yaml")
                .long("yaml")
                .action(ArgAction::SetTrue)
                .conflicts_with("json")
                .help("As YAML, which is the default"),
        );
    let completions = Command::new("completions")
        .about("Prints the completions of a shell")
        .arg(Arg::new("SHELL").required(true).value_parser(value_parser!(Shell)));
    let title = format!("{} {}", line(document.title), line(document.version));
    open_address(Command::new(program.to_owned()), document)
        .about(format!("{title}\n\nWithout a command it does what `run memory` does."))
        .version(line(document.version))
        .after_help(offers(document))
        .arg(examples())
        .arg(log)
        .args_conflicts_with_subcommands(true)
        .subcommand(options(run, protocols))
        .subcommand(options(send, protocols))
        .subcommand(validate)
        .subcommand(asyncapi)
        .subcommand(completions)
        .disable_help_subcommand(true)
}

fn examples() -> Arg {
    Arg::new("examples")
        .long("examples")
        .action(ArgAction::SetTrue)
        .help("In memory: deliver the document's examples, no lines of standard input")
}

fn open_address(command: Command, document: &Document) -> Command {
    if document.receives.iter().all(|receive| receive.channel.address.is_some()) {
        return command;
    }
    command.arg(
        many("address", "CHANNEL=ADDRESS")
            .help("Address of a channel whose address the document leaves open"),
    )
}

/// What a message consists of beside its payload.
fn parts() -> [Arg; 3] {
    [
        Arg::new("message").long("message").value_name("NAME").help("Which message, where there are several"),
        many("header", "NAME=VALUE").help("A header"),
        many("binding", "PROTOCOL.FIELD=VALUE").help("A binding, such as kafka.key=42"),
    ]
}

fn many(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Append)
}

fn one_of(name: &'static str, values: impl Iterator<Item = &'static str>) -> Arg {
    Arg::new(name).required(true).value_parser(PossibleValuesParser::new(values)).hide_possible_values(true)
}

/// A flag for every option; protocols that share a name share the flag.
fn options(mut command: Command, protocols: &[&'static ProtocolInfo]) -> Command {
    let mut known: Vec<&str> = Vec::new();
    for option in protocols.iter().flat_map(|protocol| protocol.options).filter(|option| !option.secret) {
        if known.contains(&option.name) {
            continue;
        }
        known.push(option.name);
        let same = |other: &&OptionInfo| other.name == option.name && !other.secret;
        let sharing: Vec<(&ProtocolInfo, &OptionInfo)> = protocols
            .iter()
            .filter_map(|protocol| Some((*protocol, protocol.options.iter().find(same)?)))
            .collect();
        command = command.arg(flag(option, &sharing));
    }
    command
}

/// The flag of an option, as the protocols that have it describe it.
fn flag(option: &'static OptionInfo, sharing: &[(&ProtocolInfo, &OptionInfo)]) -> Arg {
    let value =
        if sharing.iter().all(|(_, other)| other.value == option.value) { option.value } else { "VALUE" };
    // It may mean something else on each.
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (protocol, option) in sharing {
        match texts.iter_mut().find(|(text, _)| *text == option.help) {
            Some((_, names)) => names.push(protocol.name),
            None => texts.push((option.help, vec![protocol.name])),
        }
    }
    let mut help: String = match &*texts {
        [(text, _)] => (*text).to_owned(),
        _ => {
            let lines = texts.iter().map(|(text, names)| format!("{}: {text}", names.join(", ")));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    let variables: Vec<String> = sharing.iter().map(|(protocol, _)| protocol.variable(option.name)).collect();
    let separator = if texts.len() > 1 { '\n' } else { ' ' };
    let _ = write!(help, "{separator}[env: {}]", variables.join(", "));
    let names: Vec<&str> = sharing.iter().map(|(protocol, _)| protocol.name).collect();
    Arg::new(option.name)
        .long(option.name)
        .value_name(value)
        .help(help)
        .help_heading(format!("Options for {}", names.join(", ")))
}

/// Channels of the document, each with its messages.
pub(super) fn places(document: &Document) -> Vec<(Place, Vec<MessageType>)> {
    let mut places: Vec<(Place, Vec<MessageType>)> = Vec::new();
    let receives = document.receives.iter().map(|receive| (receive.channel, receive.messages));
    for (place, messages) in receives.chain(document.sends.iter().map(|send| (send.channel, send.messages))) {
        let known = places.iter_mut().find(|(other, _)| other.name == place.name);
        match known {
            Some((_, known)) => {
                let new = messages.iter().filter(|m| known.iter().all(|k| k.name != m.name)).copied();
                known.extend(new.collect::<Vec<_>>());
            }
            None => places.push((place, messages.to_vec())),
        }
    }
    places
}

/// What the document offers, for the end of `--help`.
fn offers(document: &Document) -> StyledStr {
    let names = |messages: &[MessageType]| {
        messages.iter().map(|message| line(message.name)).collect::<Vec<_>>().join(", ")
    };
    let address = |place: &Place| place.address.map_or_else(|| "(given at run time)".to_owned(), line);
    let servers = document.servers.iter().map(|server| {
        [line(server.name), line(server.protocol), line(&format!("{}{}", server.host, server.path))]
    });
    let receives = document
        .receives
        .iter()
        .map(|receive| [line(receive.channel.name), address(&receive.channel), names(receive.messages)]);
    let sends =
        document.sends.iter().map(|send| [line(send.name), address(&send.channel), names(send.messages)]);
    let mut out = String::new();
    section(&mut out, "Servers", &servers.collect::<Vec<_>>());
    section(&mut out, "Channels received from", &receives.collect::<Vec<_>>());
    section(&mut out, "Send operations", &sends.collect::<Vec<_>>());
    out.trim_end().to_owned().into()
}

fn section(out: &mut String, title: &str, rows: &[[String; 3]]) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{title}:");
    for [a, b, c] in rows {
        let row = format!("  {a:first$}  {b:second$}  {c}");
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out.push('\n');
}

/// Text of a document on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All values of an argument that may not be there.
pub(super) fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    let values = matches.try_get_many::<String>(name).ok().flatten();
    values.map(|values| values.cloned().collect()).unwrap_or_default()
}

/// `NAME=VALUE`.
pub(super) fn pair<'t>(text: &'t str, flag: &str, form: &str) -> Result<(&'t str, &'t str)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.ok_or_else(|| Error::Config(format!("{flag}: `{text}` is not of the form {form}")))
}

/// `; did you mean X?`, or what there is.
pub(super) fn hint(text: &str, known: &[&str]) -> String {
    let close = known.iter().map(|name| (strsim::normalized_damerau_levenshtein(text, name), name));
    let close = close.filter(|(close, _)| *close > 0.5);
    match close.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => "; there is none".to_owned(),
        None => {
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("; there is {}", known.join(", "))
        }
    }
}

/// The address of a channel from the parameters that are given.
pub(super) fn address(place: &Place, params: &[String], address: Option<&String>) -> Result<String> {
    let Some(pattern) = place.address else {
        return address.cloned().ok_or_else(|| {
            Error::Config(format!(
                "the document does not say the address of channel `{}`: write --address ADDRESS",
                place.name
            ))
        });
    };
    if address.is_some() {
        return Err(Error::Config(format!(
            "--address: channel `{}` has the address `{pattern}`",
            place.name
        )));
    }
    let pattern = Pattern::parse(pattern).map_err(|error| Error::Config(error.to_string()))?;
    let names: Vec<&str> = pattern.parameters().collect();
    let mut values = vec![None; names.len()];
    for text in params {
        let (name, value) = pair(text, "--param", "NAME=VALUE")?;
        let Some(index) = names.iter().position(|known| *known == name) else {
            let hint = hint(name, &names);
            return Err(Error::Config(format!("--param: `{pattern}` has no parameter `{name}`{hint}")));
        };
        values[index] = Some(value);
    }
    let missing: Vec<String> = names
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_none_or(str::is_empty))
        .map(|(name, _)| format!("--param {name}=…"))
        .collect();
    if !missing.is_empty() {
        return Err(Error::Config(format!("`{pattern}` needs {}", missing.join(" "))));
    }
    let values: Vec<&str> = values.into_iter().flatten().collect();
    Ok(pattern.format(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn protocol(name: &'static str, options: &'static [OptionInfo]) -> ProtocolInfo {
        ProtocolInfo { name, protocols: &[], schemes: &[], options }
    }

    const fn option(name: &'static str, value: &'static str, help: &'static str) -> OptionInfo {
        OptionInfo { name, value, help, secret: false }
    }

    #[test]
    fn a_shared_flag_says_what_it_means_on_each() {
        static ONE: ProtocolInfo = protocol(
            "one",
            &[
                option("group", "NAME", "Shares the work"),
                option("at-once", "TOPICS", "Topics [default: 16]"),
            ],
        );
        static TWO: ProtocolInfo = protocol(
            "two",
            &[option("group", "NAME", "Shares the work"), option("at-once", "KEYS", "Keys [default: 1]")],
        );
        static THREE: ProtocolInfo = protocol("three", &[option("at-once", "KEYS", "Keys [default: 1]")]);
        let help = options(Command::new("run"), &[&ONE, &TWO, &THREE]).render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim).collect();
        for expected in [
            "Options for one, two:",
            "--group <NAME>",
            "Shares the work [env: AMGI_ONE_GROUP, AMGI_TWO_GROUP]",
            "Options for one, two, three:",
            "--at-once <VALUE>",
            "one: Topics [default: 16]",
            "two, three: Keys [default: 1]",
            "[env: AMGI_ONE_AT_ONCE, AMGI_TWO_AT_ONCE, AMGI_THREE_AT_ONCE]",
        ] {
            assert!(lines.contains(&expected), "`{expected}` is missing:\n{help}");
        }
    }
}
