//! Backrest's part: hooks, restic between them, and which hooks fire when, all in the container that stands in for it.
//!
//! A hook's text is a Go template; what it renders to is given to the program that its first line names, on standard
//! input. Of templates only the form that our hooks have is understood, `{{ printf "FORMAT" .A.B .C }}`; another one
//! is an error.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::ran::Ran;
use super::world::World;

/// The name of the plan that the hooks belong to.
const PLAN: &str = "nightly";
/// Where restic finds its repository in the container.
pub(super) const RESTIC: [&str; 5] = ["restic", "--no-cache", "--quiet", "--repo", "/repos/e2e"];

/// How a backup went.
pub(super) struct Backup {
    /// What the START hook did.
    pub(super) start: Ran,
    /// What restic did, if it ran.
    pub(super) restic: Option<Ran>,
    /// What the hooks after it did.
    pub(super) after: Vec<Ran>,
}

/// What `create-backrest-pipe hooks` prints.
pub(super) struct Hooks {
    hooks: Vec<Value>,
    /// The backup flags of the plan, split as Backrest splits them.
    pub(super) flags: Vec<String>,
}

impl Hooks {
    /// Asks for them, with Uptime Kuma and without Tailscale.
    pub(super) fn printed(world: &World) -> Result<Hooks> {
        let printed = world.create_backrest_pipe(&["hooks", "--tailscale", "no"])?.success()?;
        let told: Value = serde_json::from_str(&printed.stdout).context("read the printed hooks")?;
        let plan = &told["plan"];
        let flags = plan["backup_flags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let flags = flags.flat_map(|flag| shlex::split(flag).unwrap_or_default()).collect();
        let hooks = plan["hooks"].as_array().context("hooks of a plan")?.clone();
        Ok(Hooks { hooks, flags })
    }

    /// Runs each hook that stands on one of `conditions`.
    pub(super) fn fire(&self, world: &World, conditions: &[&str], error: &str) -> Result<Vec<Ran>> {
        let mut ran = Vec::new();
        for hook in &self.hooks {
            let stands_on = hook["conditions"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<_> =
                stands_on.map(|name| name.strip_prefix("CONDITION_").unwrap_or(name)).collect();
            if conditions.iter().any(|condition| names.contains(condition)) {
                let text = hook["actionCommand"]["command"].as_str().context("the text of a hook")?;
                let text = render(text, error)?;
                let (first, rest) = text.split_once('\n').context("a hook of one line")?;
                let program = first.strip_prefix("#!").context("a hook without a program")?;
                ran.push(world.inside(&[program], rest.as_bytes())?);
            }
        }
        Ok(ran)
    }

    /// A backup as Backrest makes it, with further arguments for restic.
    pub(super) fn back_up(&self, world: &World, arguments: &[&str]) -> Result<Backup> {
        let start = self.fire(world, &["SNAPSHOT_START"], "")?.pop().context("a hook for the start")?;
        if !start.end.is_success() {
            let error = format!("hook failed: {}", start.stderr.trim_end());
            let after = self.fire(world, &["ANY_ERROR", "SNAPSHOT_ERROR"], &error)?;
            return Ok(Backup { start, restic: None, after });
        }
        let restic = self.restic_backup(world, arguments)?;
        let after = if restic.end.is_success() {
            self.fire(world, &["SNAPSHOT_SUCCESS", "SNAPSHOT_END"], "")?
        } else {
            let conditions = ["SNAPSHOT_ERROR", "ANY_ERROR", "SNAPSHOT_END"];
            self.fire(world, &conditions, restic.stderr.trim_end())?
        };
        Ok(Backup { start, restic: Some(restic), after })
    }

    /// restic alone, of what the plan backs up.
    pub(super) fn restic_backup(&self, world: &World, arguments: &[&str]) -> Result<Ran> {
        let mut words = vec!["env", "RESTIC_PASSWORD=e2e"];
        words.extend(RESTIC);
        words.push("backup");
        words.extend(self.flags.iter().map(String::as_str));
        words.extend(arguments);
        words.push("/userdata");
        world.inside(&words, b"")
    }
}

/// How many snapshots there are.
pub(super) fn snapshots(world: &World) -> Result<usize> {
    let listed = restic(world, &["snapshots", "--json"])?.success()?;
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).context("read the list of snapshots")?;
    Ok(listed.len())
}

/// restic in the container, with the right password.
pub(super) fn restic(world: &World, arguments: &[&str]) -> Result<Ran> {
    world.inside(&[&["env", "RESTIC_PASSWORD=e2e"], RESTIC.as_slice(), arguments].concat(), b"")
}

/// The text of a hook with what stands in `{{ }}` filled in.
fn render(text: &str, error: &str) -> Result<String> {
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").context("a template that does not end")?;
        rendered.push_str(before);
        rendered.push_str(&printf(action.trim(), error)?);
        rest = after;
    }
    Ok(rendered + rest)
}

/// `printf "…%.Nq…" FIELD…`: Go's `%.Nq` is a quoted text of at most N characters.
fn printf(action: &str, error: &str) -> Result<String> {
    let words = action.strip_prefix("printf \"").and_then(|rest| rest.rsplit_once("\" "));
    let (format, fields) = words.with_context(|| format!("a template of another form: {action}"))?;
    let mut values = fields.split(' ').map(|field| match field {
        ".Plan.Id" => Ok(PLAN),
        ".Error" => Ok(error),
        other => bail!("a template with another field: {other}"),
    });
    let mut pieces = format.split("%.");
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (most, after) = piece.split_once('q').context("a template with another verb")?;
        let most: usize = most.parse().context("a template with another verb")?;
        let value = values.next().context("a template with too few fields")??;
        text.push_str(&quoted(&value.chars().take(most).collect::<String>()));
        text.push_str(after);
    }
    if has_other_verb(format) || values.next().is_some() {
        bail!("a template of another form: {action}");
    }
    Ok(text)
}

/// Whether `format` holds a verb of another form than `%.N`.
fn has_other_verb(format: &str) -> bool {
    format.split('%').skip(1).any(|verb| !verb.starts_with('.'))
}

/// As Go's `strconv.Quote` for ASCII and printable text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_rendered_as_go_renders_it() {
        let text = "#!/x\nnotify-down {{ printf \"plan %.60q: %.5q\" .Plan.Id .Error }}\n";
        assert_eq!(
            render(text, "a\"\n\u{1}cdef").unwrap(),
            "#!/x\nnotify-down plan \"nightly\": \"a\\\"\\n\\x01c\"\n"
        );
        assert_eq!(render("#!/x\npre-backups\n", "").unwrap(), "#!/x\npre-backups\n");
    }

    #[test]
    fn what_is_not_understood_is_no_text() {
        for text in ["{{ .Error }}", "{{ printf \"%s\" .Error }}", "{{ printf \"%.3q\" .Task }}", "{{ x"] {
            assert!(render(text, "").is_err(), "{text}");
        }
        assert!(render("{{ printf \"%.3q %.3q\" .Error }}", "").is_err());
    }
}
