//! `amgi-gen diff OLD NEW`.

use std::path::{Path, PathBuf};

use amgi_asyncapi::{diag::Diagnostics, load_with, model::Document};

use super::{
    Failure, args,
    changes::{self, Side},
    colored,
    fetch::Http,
    patiently, print, report, revision, say, show,
};
use crate::{
    Generation,
    diff::{self, Level, Respect, Version},
    from_loaded,
    settings::Settings,
};

/// A version that was read, whatever came of it.
struct Read {
    /// As it was named.
    name: PathBuf,
    settings: Settings,
    document: Document,
    generation: Generation,
}

pub(super) fn run(args: &args::Diff, common: &args::Common) -> Result<(), Failure> {
    let (old, new) =
        patiently(&args.new, common, || Ok::<_, Failure>((read(&args.old, args)?, read(&args.new, args)?)))?;
    let (Some(was), Some(is)) = (&old.generation.api, &new.generation.api) else {
        for one in [&old, &new] {
            show(&one.name, &one.generation, args::Format::Human, common)?;
        }
        for one in [&old, &new].into_iter().filter(|one| one.generation.api.is_none() && !common.quiet) {
            let counts = report::counts(&one.generation.diagnostics).unwrap_or_default();
            say(&format!("{}: {counts}\n", one.name.display()));
        }
        return Err(Failure::Unreadable);
    };
    let mut found = diff::compare(
        Version { document: &old.document, api: was, settings: &old.settings },
        Version { document: &new.document, api: is, settings: &new.settings },
    );
    if let Some(only) = args.only {
        let respect = if only == args::Only::Wire { Respect::Wire } else { Respect::Code };
        found.retain(|change| change.kind.respect == respect);
    }
    let denied = |level: Level| match args.deny {
        args::Deny::None => false,
        args::Deny::Breaking => level == Level::Breaking,
        args::Deny::Warning => level >= Level::Warning,
    };
    let summary = changes::summary(&found);
    let fails = found.iter().any(|change| denied(change.level));
    if common.quiet {
        found.retain(|change| denied(change.level));
    }
    let base = std::env::current_dir().unwrap_or_default();
    let side = |read: &'_ Read| Side { name: read.name.clone(), sources: read.generation.sources.clone() };
    let report = changes::Report { changes: &found, old: side(&old), new: side(&new), base };
    let text = match args.format {
        args::Changes::Text => report.text(colored(common.color, &std::io::stdout())),
        args::Changes::Json => report.json(),
        args::Changes::Github => report.github(),
        args::Changes::Markdown => report.markdown(),
    };
    print(text.as_bytes())?;
    if !common.quiet {
        say(&format!("{} -> {}: {summary}\n", old.name.display(), new.name.display()));
    }
    if fails { Err(Failure::Said) } else { Ok(()) }
}

fn read(name: &Path, args: &args::Diff) -> Result<Read, Failure> {
    let revision = revision::checked_out(name).map_err(Failure::Usage)?;
    let path = revision.as_ref().map_or(name, |revision| revision.path.as_path());
    let settings = args.module.settings(path);
    let http = Http::new();
    let options = amgi_asyncapi::Options {
        fetch: args.module.allow_remote.then_some(&http as &dyn amgi_asyncapi::remote::Fetch),
        overlay: settings.overlay.as_ref(),
    };
    let mut loaded = load_with(path, &options);
    if let Some(revision) = &revision {
        loaded.sources.rename(|path| revision.name(path));
        let mut diagnostics = Diagnostics::default();
        for mut problem in loaded.diagnostics.iter().cloned() {
            problem.message = revision.named(&problem.message);
            diagnostics.push(problem);
        }
        loaded.diagnostics = diagnostics;
    }
    let document = loaded.document.clone();
    let generation = from_loaded(loaded, path, &settings);
    Ok(Read { name: name.to_owned(), settings, document, generation })
}
