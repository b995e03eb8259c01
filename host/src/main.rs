//! The `oarlock` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    oarlock::cli::main()
}
