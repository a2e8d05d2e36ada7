//! AsyncFast's own examples, written anew: each application is a document in `specs/` and a file in `src/bin/`. The tests run
//! them as processes.
