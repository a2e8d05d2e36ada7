//! Tests of the project itself live in `tests/`.
