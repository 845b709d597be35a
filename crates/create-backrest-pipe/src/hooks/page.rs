//! Which Backrest is meant: where its web page is, who logs in, and the plan. `hooks`, `status` and `verify` share it.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::text::escape;
use serde_json::Value;
use ureq::http::Uri;

use super::config::{list, quoted};

#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Its API is below this address.
    pub(crate) address: String,
    /// The plan that was named, or whose page the address is.
    pub(crate) plan: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    /// What is sent can be read on the way: neither encrypted nor within this host.
    pub(crate) is_overheard: bool,
}

impl Page {
    /// Reads an address such as `http://localhost:9898` or `http://localhost:9898/#/plan/nightly`, as it is typed or
    /// copied from a browser.
    pub(crate) fn new(
        typed: &str,
        plan: Option<String>,
        user: Option<String>,
        password_file: Option<PathBuf>,
    ) -> Result<Page> {
        let (page, view) = typed.split_once('#').unwrap_or((typed, ""));
        let page = page.split_once('?').map_or(page, |(page, _)| page).trim().trim_end_matches('/');
        let naming = || format!("reach Backrest: {}", escape(page.as_bytes()));
        let hint = "give the address of its web page, such as http://localhost:9898";
        let uri: Uri = page.parse().with_context(naming).hint(hint)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let Some(authority) = uri.authority().filter(|_| is_web) else {
            return Err(anyhow!("it is not a web address")).with_context(naming).hint(hint);
        };
        if authority.as_str().contains('@') {
            return Err(anyhow!("reach Backrest: the address holds a user or a password"))
                .hint("name the user with --user; the password is asked for");
        }
        let shown = view.trim_start_matches('/').strip_prefix("plan/");
        let shown = shown.and_then(|rest| rest.split(['/', '?']).next()).filter(|plan| !plan.is_empty());
        // In a path `+` is itself.
        let shown = shown.map(|plan| bridge::request::decode(&plan.replace('+', "%2B")));
        let host = authority.host().trim_matches(['[', ']']);
        let is_here =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_overheard = uri.scheme_str() == Some("http") && !is_here;
        Ok(Page { address: page.into(), plan: plan.or(shown), user, password_file, is_overheard })
    }

    /// The plan that is meant: named, shown by the address, or the only one.
    pub(crate) fn plan_in(&self, config: &Value) -> Result<String> {
        let ids: Vec<_> = list(config, "plans").iter().filter_map(|plan| plan["id"].as_str()).collect();
        match (&self.plan, ids.as_slice()) {
            (Some(plan), _) => Ok(plan.clone()),
            (None, [only]) => Ok((*only).to_string()),
            (None, []) => Err(anyhow!("Backrest has no plan")).hint("make a plan in Backrest first"),
            (None, ids) => {
                let names: Vec<_> = ids.iter().map(|id| quoted(id)).collect();
                Err(anyhow!("Backrest has {} plans", ids.len()))
                    .hint(format!("choose one with --plan: {}", names.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_copied_from_the_browser_names_the_plan() {
        for (typed, address, plan, is_overheard) in [
            ("http://localhost:9898", "http://localhost:9898", None, false),
            ("http://127.0.0.1:9898/", "http://127.0.0.1:9898", None, false),
            ("http://[::1]:9898/#/plan/nightly", "http://[::1]:9898", Some("nightly"), false),
            ("https://nas/backrest/#/plan/my%20plan/x", "https://nas/backrest", Some("my plan"), false),
            ("http://nas.home:9898/?a=b#/repo/nas", "http://nas.home:9898", None, true),
            ("http://192.168.1.2/#/plan/a+b", "http://192.168.1.2", Some("a+b"), true),
            ("http://localhost.evil.example", "http://localhost.evil.example", None, true),
        ] {
            let page = Page::new(typed, None, None, None).unwrap();
            let found = (page.address.as_str(), page.plan.as_deref(), page.is_overheard);
            assert_eq!(found, (address, plan, is_overheard), "{typed}");
        }
    }
}
