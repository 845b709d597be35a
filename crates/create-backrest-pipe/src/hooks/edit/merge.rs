//! The hooks of one plan or repository after a change: what is there already is completed, what is missing is added,
//! and what only looks different stays.

use bridge::action::BuiltIn;
use bridge::message::Message;
use bridge::request::{Notification, Preparation};
use serde_json::Value;

use crate::hooks::config::{CANCEL, cancels, conditions_of, halts};
use crate::hooks::finding::{Finding, Name};
use crate::hooks::reading::{self, Delivery, Line, Reading, Script, command_of, messages_of};
use crate::hooks::wiring::{self, NeededHook, is_ours};

pub(super) type Changed = (Vec<Value>, Vec<Finding>);

struct Hook {
    json: Value,
    reading: Reading,
    /// It held nothing but our messages in our form before anything was changed: it may be written anew as a whole.
    is_ours: bool,
}

impl Hook {
    fn of(json: &Value) -> Hook {
        let reading = reading::read(json);
        let is_ours = matches!(&reading, Reading::Script(script) if script.is_only(is_ours));
        Hook { json: json.clone(), reading, is_ours }
    }

    fn set_text(&mut self, text: String) {
        if command_of(&self.json) != Some(&text) {
            self.json["actionCommand"]["command"] = text.into();
            self.reading = reading::read(&self.json);
        }
    }
}

/// Lines of the days of the Bash scripts: nothing is waited for in them.
fn is_old(line: &Line) -> bool {
    matches!(line, Line::Sends(_, Delivery::Unanswered | Delivery::OldScript))
}

/// `hooks` without lines of old, if those are replaced; otherwise how many hooks have such lines.
fn without_old(hooks: &[Value], replaces_old: bool) -> (Vec<Hook>, usize) {
    let (mut kept, mut old) = (Vec::new(), 0);
    for mut hook in hooks.iter().map(Hook::of) {
        if let Reading::Script(script) = &hook.reading {
            match script.has(is_old) {
                true if replaces_old => match script.without(is_old) {
                    Some(text) => hook.set_text(text),
                    None => continue,
                },
                true => old += 1,
                false => {}
            }
        }
        kept.push(hook);
    }
    (kept, old)
}

/// Hooks that do what `wanted` asks for. If it `asks`, the messages that a hook which can't be read may send are found.
pub(super) fn put_in(hooks: &[Value], asks: bool, wanted: &[NeededHook], replaces_old: bool) -> Changed {
    let (there, old) = without_old(hooks, replaces_old);
    let mut findings: Vec<_> = (old > 0).then_some(Finding::Old { hooks: old }).into_iter().collect();
    let mut missing = wanted.to_vec();
    // Ours stay where the first of them is.
    let place = there.iter().take_while(|hook| !hook.is_ours).count();
    let (ours, mut others): (Vec<_>, Vec<_>) = there.into_iter().partition(|hook| hook.is_ours);
    let ours: Vec<_> = ours.into_iter().map(|hook| hook.json).collect();
    for hook in &mut others {
        if hook.reading == Reading::Unclear {
            let text = command_of(&hook.json).filter(|_| asks).unwrap_or_default();
            let needed = wanted.iter().flat_map(|hook| &hook.messages).filter_map(Message::built_in);
            let mut asks: Vec<_> = needed.filter(|action| text.contains(action.name())).collect();
            asks.dedup();
            findings.push(Finding::Unclear { hook: Name::of(&hook.json), asks });
        }
        missing.retain_mut(|wanted| !covers(hook, wanted, &ours));
    }
    let mut new: Vec<_> = others.into_iter().map(|hook| hook.json).collect();
    new.splice(place..place, written(&missing, ours));
    (new, findings)
}

/// Whether `hook`, which a person wrote or changed, does what `wanted` asks for, after completing it where that is
/// possible. What is still missing stays in `wanted`. One of `ours` that sends the same stays, too: the person decides
/// which of the two goes.
fn covers(hook: &mut Hook, wanted: &mut NeededHook, ours: &[Value]) -> bool {
    let Reading::Script(script) = &hook.reading else { return false };
    let conditions = conditions_of(&hook.json);
    let sent: Vec<_> = script.messages().into_iter().map(|message| message.name.clone()).collect();
    let is_sent = |message: &Message| sent.contains(&message.name);
    let meets = wanted.conditions.iter().any(|condition| conditions.contains(condition));
    if !meets || !wanted.messages.iter().any(is_sent) {
        return false;
    }
    let lacking: Vec<_> = wanted.conditions.iter().filter(|c| !conditions.contains(c)).cloned().collect();
    let has_no_other = sent.iter().all(|name| wanted.messages.iter().any(|message| message.name == *name));
    let is_pure = script.is_pure();
    if is_pure {
        let script = script.clone();
        complete(hook, &script, wanted, has_no_other);
        if has_no_other || lacking.is_empty() {
            return true;
        }
    } else if ours.iter().flat_map(messages_of).any(|message| sent.contains(&message.name)) {
        return false;
    } else if lacking.is_empty() {
        // What else it does may need what it sends first, so the text is left to the person.
        wanted.messages.retain(|message| !is_sent(message));
        return wanted.messages.is_empty();
    }
    // Its other messages belong to its own conditions; a hook of ours gets the rest.
    wanted.conditions = lacking;
    false
}

/// Adds to a hook that only sends messages what `wanted` has beyond it.
fn complete(hook: &mut Hook, script: &Script, wanted: &NeededHook, takes_conditions: bool) {
    let before: Vec<_> = script.messages().into_iter().cloned().collect();
    let mut messages = before.clone();
    for (at, needed) in wanted.messages.iter().enumerate() {
        if let Some(there) = messages.iter_mut().find(|there| there.name == needed.name) {
            there.text = merged(needed, &there.text);
            continue;
        }
        let later = &wanted.messages[at + 1..];
        let next = messages.iter().position(|there| later.iter().any(|later| later.name == there.name));
        messages.insert(next.unwrap_or(messages.len()), needed.clone());
    }
    if messages != before {
        let comments = script.lines.iter().filter(|line| line.text.trim_start().starts_with('#'));
        let comments: String = comments.map(|line| format!("{}\n", line.text.trim())).collect();
        let text = wiring::text_of(&messages);
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        hook.set_text(format!("{first}\n{comments}{rest}"));
    }
    if takes_conditions {
        let mut conditions = hook.json["conditions"].as_array().cloned().unwrap_or_default();
        for condition in wanted.json_conditions() {
            if !conditions.iter().any(|there| *there == condition) {
                conditions.push(condition.into());
            }
        }
        hook.json["conditions"] = conditions.into();
    }
    if wanted.cancels && !cancels(&hook.json) {
        hook.json["onError"] = CANCEL.into();
    }
}

/// The text of a message that a person wrote, with what ours has to have.
fn merged(needed: &Message, there: &str) -> String {
    match needed.built_in() {
        Some(BuiltIn::PreBackups) => needed.text.clone(),
        Some(BuiltIn::PostBackups) => {
            let Ok(needed) = Preparation::parse(&needed.text) else { return there.into() };
            let undo = Preparation::parse(there).unwrap_or_default();
            Preparation { key: needed.key, ..undo }.to_text()
        }
        Some(BuiltIn::NotifyUp | BuiltIn::NotifyDown) if there.is_empty() => needed.text.clone(),
        Some(BuiltIn::NotifyUp | BuiltIn::NotifyDown) if Notification::parse(there).plan.is_none() => {
            let plan = Notification::parse(&needed.text).plan;
            Notification { plan, text: there.into(), ..Notification::default() }.to_text()
        }
        _ => there.into(),
    }
}

/// The hooks for `missing`. One of `ours` that does the same stays as it is written, and one that does nearly the same
/// keeps the fields that are not known here.
fn written(missing: &[NeededHook], mut ours: Vec<Value>) -> Vec<Value> {
    let last = |messages: &[Message]| messages.last().map(|message| message.name.clone());
    let write = |needed: &NeededHook| {
        let is_near = |hook: &Value| {
            let conditions = conditions_of(hook);
            last(&messages_of(hook)) == last(&needed.messages)
                && needed.conditions.iter().any(|condition| conditions.contains(condition))
        };
        let at = ours.iter().position(|hook| is_same(hook, needed)).or(ours.iter().position(is_near));
        let Some(mut hook) = at.map(|at| ours.remove(at)) else { return needed.to_json() };
        if !is_same(&hook, needed) {
            let own = conditions_of(&hook).into_iter().filter(|condition| !is_known(condition));
            let own = own.map(|condition| format!("CONDITION_{condition}"));
            hook["conditions"] = needed.json_conditions().into_iter().chain(own).collect();
            hook["actionCommand"]["command"] = wiring::text_of(&needed.messages).into();
            if needed.cancels && !cancels(&hook) {
                hook["onError"] = CANCEL.into();
            } else if let Some(fields) = hook.as_object_mut().filter(|_| !needed.cancels) {
                fields.shift_remove("onError");
            }
        }
        hook
    };
    missing.iter().map(write).collect()
}

/// Whether hooks of ours may have that condition. Any other was added by a person, and stays.
fn is_known(condition: &str) -> bool {
    let (of, end) = condition.rsplit_once('_').unwrap_or_default();
    let is_end = ["START", "END", "ERROR", "SUCCESS", "SKIPPED", "WARNING"].contains(&end);
    is_end && ["SNAPSHOT", "ANY", "PRUNE", "CHECK", "FORGET"].contains(&of)
}

/// Whether `hook` does what `wanted` asks for, however it is written.
fn is_same(hook: &Value, wanted: &NeededHook) -> bool {
    let conditions = conditions_of(hook);
    messages_of(hook) == wanted.messages
        && wanted.conditions.iter().all(|condition| conditions.contains(condition))
        && conditions.iter().all(|condition| wanted.conditions.contains(condition) || !is_known(condition))
        && if wanted.cancels { cancels(hook) } else { !halts(hook) }
}

pub(super) fn take_out(hooks: &[Value], replaces_old: bool) -> Changed {
    let (there, _) = without_old(hooks, replaces_old);
    let is_gone = |line: &Line| matches!(line, Line::Sends(messages, Delivery::Answered) if messages.iter().all(is_ours));
    let (mut kept, mut findings) = (Vec::new(), Vec::new());
    for mut hook in there {
        match &hook.reading {
            Reading::Script(script) if script.has(is_gone) => match script.without(is_gone) {
                None => continue,
                Some(text) => hook.set_text(text),
            },
            _ => {}
        }
        if hook.reading.may_send(is_ours) {
            findings.push(Finding::LeftAlone { hook: Name::of(&hook.json) });
        }
        kept.push(hook.json);
    }
    (kept, findings)
}
