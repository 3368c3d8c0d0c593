//! The `starwright` program; all of it is in `cli`.

fn main() -> std::process::ExitCode {
    starwright::main()
}
