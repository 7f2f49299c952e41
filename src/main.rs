//! The `blankslate` program; everything is in [`blankslate::cli`].

fn main() -> std::process::ExitCode {
    blankslate::cli::main()
}
