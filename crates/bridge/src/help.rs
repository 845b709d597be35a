//! `backrest-send --help`: the actions and the exit codes come from the tables that the listener uses too.

use crate::action::BuiltIn;
use crate::exit_code::ExitCode;

/// The whole text.
pub fn text() -> String {
    let mut text = String::from(BEFORE_THE_ACTIONS);
    for action in BuiltIn::ALL {
        text += &format!("  {:<16} {}\n", action.name(), action.purpose());
    }
    text.push_str(BEFORE_THE_CODES);
    for code in ExitCode::ALL {
        text += &format!("  {:<3} {}\n", code.number(), code.meaning());
    }
    text.push_str(EXAMPLES);
    text
}

const BEFORE_THE_ACTIONS: &str = "\
Ask the host to do something, and wait until it is done

Usage: backrest-send [OPTIONS] NAME [TEXT]...
       backrest-send [OPTIONS] < FILE    one message a line, until one fails

Arguments:
  NAME  an action of those below, or a file in the host's actions folder
  TEXT  its text; several words are joined with blanks

Actions:
";

const BEFORE_THE_CODES: &str = "
Options:
  --timeout TIME  give up after this time, such as 90s, 30m or 2h [default: 2h]
  --no-wait       exit with 0 as soon as the host has taken the message
  --bridge DIR    the bridge folder [env: BACKREST_BRIDGE] [default: the folder
                  of this program, or ~/containers/backrest/bridge]
  -h, --help      print this help
  -V, --version   print the version

Exit codes:
";

const EXAMPLES: &str = "
Example, in a hook of Backrest:
  /bridge/backrest-send pre-backups
Or, if the image has no shell:
  #!/bridge/backrest-send
  start-tailscale
  pre-backups
";
