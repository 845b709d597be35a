//! The one table of built-in actions: their names, what they are for, and the lane they run in.
//!
//! Dispatch, help texts, the hooks that `create-backrest-pipe` writes, and the pages are derived from it.

/// An action that the listener has without any file of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    /// Runs the prepare steps, then builds the ignore file.
    PreBackups,
    /// Undoes the prepare steps.
    PostBackups,
    /// Builds the ignore file.
    BuildIgnore,
    /// Brings Tailscale up.
    StartTailscale,
    /// Takes Tailscale down after a while.
    StopTailscale,
    /// Reports success to Uptime Kuma.
    NotifyUp,
    /// Reports a failure to Uptime Kuma.
    NotifyDown,
    /// Answers that the bridge works.
    Ping,
    /// Reports the listener's state.
    Status,
}

/// Which actions wait for each other: those of one lane run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// What works on the host.
    Actions,
    /// What only reports; it may wait for a network, and holds up no backup.
    Notifications,
}

/// Name, purpose and lane of each action, in the order of [`BuiltIn`].
const TABLE: [(&str, &str, Option<Lane>); BuiltIn::ALL.len()] = [
    ("pre-backups", "run the prepare steps, then build the ignore file", Some(Lane::Actions)),
    ("post-backups", "run the after steps, which undo the prepare steps", Some(Lane::Actions)),
    ("build-ignore", "build the ignore file, without prepare steps", Some(Lane::Actions)),
    ("start-tailscale", "bring Tailscale up and wait until it is connected", Some(Lane::Actions)),
    ("stop-tailscale", "take Tailscale down after a delay, unless it was up before", Some(Lane::Actions)),
    ("notify-up", "push \"up\" to Uptime Kuma", Some(Lane::Notifications)),
    ("notify-down", "push \"down\" to Uptime Kuma", Some(Lane::Notifications)),
    ("ping", "answer, to show that the bridge works", None),
    ("status", "report the listener's state", None),
];

impl BuiltIn {
    /// All of them, in the order in which pages and help texts list them.
    pub const ALL: [BuiltIn; 9] = [
        BuiltIn::PreBackups,
        BuiltIn::PostBackups,
        BuiltIn::BuildIgnore,
        BuiltIn::StartTailscale,
        BuiltIn::StopTailscale,
        BuiltIn::NotifyUp,
        BuiltIn::NotifyDown,
        BuiltIn::Ping,
        BuiltIn::Status,
    ];

    /// The built-in action of that name.
    pub fn named(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The name in a message.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].0
    }

    /// What it is for, as help texts and pages put it: imperative, no full stop.
    pub const fn purpose(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The lane in which it runs; `None` for an action that is answered at once, whatever else runs.
    pub const fn lane(self) -> Option<Lane> {
        TABLE[self as usize].2
    }

    /// Whether it takes a sentence for people (see [`crate::request::Notification`]).
    pub const fn takes_sentence(self) -> bool {
        matches!(self, BuiltIn::NotifyUp | BuiltIn::NotifyDown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_action_and_every_exit_code() {
        let page = include_str!("../../../docs/bridge.md");
        for action in BuiltIn::ALL {
            let row = page
                .lines()
                .find(|line| line.starts_with('|') && line.contains(&format!("`{}", action.name())));
            assert!(row.is_some_and(|row| row.contains(action.purpose())), "{}", action.name());
        }
        for code in crate::exit_code::ExitCode::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| {} |", code.number())));
            assert!(row.is_some_and(|row| row.contains(code.meaning())), "{}", code.number());
        }
    }

    #[test]
    fn every_name_is_a_name_and_leads_back_to_its_action() {
        for action in BuiltIn::ALL {
            assert!(crate::message::is_name(action.name()));
            assert_eq!(BuiltIn::named(action.name()), Some(action));
        }
        assert_eq!(BuiltIn::named("reboot"), None);
    }
}
