//! What `amgi-gen --python` writes is a wheel, which a clean environment takes; what is in it does what its types say.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use amgi_brokers_tests::python;
use amgi_golden_tests::root;
use amgi_python_tests::{environment, folder, generate, run, wheel};

#[test]
fn a_generated_crate_is_a_wheel() {
    let wheel = wheel(&generate(&root().join("specs/user.yaml"), "users"), "users");
    let interpreter = environment("clean", &wheel, &["amgi-types", "users"]);

    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    assert_eq!(run(Command::new(&interpreter).arg(scripts.join("uses.py"))), "done\n");
    types_are_as_the_stub_says(&interpreter, &scripts);
}

fn types_are_as_the_stub_says(interpreter: &Path, scripts: &Path) {
    // Mypy runs in the environment that has the module, from another one: what is installed there is what it sees.
    let mypy = python("mypy-2.4.1", "mypy==2.4.1", "");
    let packages = fs::read_dir(mypy.join("lib"))
        .expect("the environment of mypy")
        .map(|entry| entry.expect("an entry").path().join("site-packages"))
        .next()
        .expect("its packages");
    let check = |module: &str, args: &[&str]| {
        let mut command = Command::new(interpreter);
        command.args(["-m", module]).args(args).env("PYTHONPATH", &packages).current_dir(folder("clean"));
        let output = command.output().expect("Python is started");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // Maturin puts the library into a package; its types are the package's.
    fs::write(folder("clean").join("allowed"), "users\\.users\n").expect("a file in the environment");
    let (agree, said) = check("mypy.stubtest", &["users", "--allowlist", "allowed"]);
    assert!(agree, "{said}");
    let strict = |file: &str| check("mypy", &["--strict", &scripts.join(file).display().to_string()]);
    let (is_right, said) = strict("uses.py");
    assert!(is_right, "{said}");
    let (is_right, said) = strict("misuses.py");
    let places: BTreeSet<usize> =
        said.lines().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    let wrong: BTreeSet<usize> = fs::read_to_string(scripts.join("misuses.py"))
        .expect("the script")
        .lines()
        .enumerate()
        .filter_map(|(index, line)| line.contains("# wrong").then_some(index + 1))
        .collect();
    assert!(!is_right && places == wrong, "{said}");
}
