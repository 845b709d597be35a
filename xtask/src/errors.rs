//! The errors that come with a hint, read from the programs' source: the list in `docs/troubleshooting.md`.
//!
//! An error with a hint is built as `EXPRESSION.hint(HINT)` (`common::exit::HintExt`) or by a function of [`MADE_BY`]. Its text
//! is put together from the string literals of both: contexts first, the cause last, and `…` for each value. So the page
//! can't list an error that no program prints, nor lack one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::text::escape_path;
use syn::visit::{self, Visit};

use crate::source::Source;

pub(crate) const PAGE: &str = "docs/troubleshooting.md";
const START: &str = "<!-- errors -->\n";
const END: &str = "<!-- end of errors -->\n";

/// The page with its list made anew.
pub(crate) fn page(root: &Path, sources: &[Source]) -> Result<String> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("read: {PAGE}"))?;
    let (Some((before, _)), Some((_, after))) = (page.split_once(START), page.split_once(END)) else {
        bail!("read: {PAGE}: the lines {} and {} are not both there", START.trim(), END.trim());
    };
    let mut list = String::new();
    for (tool, errors) in by_tool(sources)? {
        list.push_str(&format!("\n### {tool}\n\n| error | cure |\n| --- | --- |\n"));
        for (error, cure) in errors {
            list.push_str(&format!("| {} | {} |\n", cell(&error), cell(&cure)));
        }
    }
    Ok(format!("{before}{START}{list}\n{END}{after}"))
}

/// Each crate's errors with their hints.
fn by_tool(sources: &[Source]) -> Result<BTreeMap<&str, BTreeSet<(String, String)>>> {
    let mut found: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.member != "xtask" && source.below_src().is_some()) {
        let errors =
            of_source(&source.text).with_context(|| format!("read: {}", escape_path(&source.path)))?;
        let tool = if source.member == "common" { "every program" } else { source.member.as_str() };
        found.entry(tool).or_default().extend(errors);
    }
    found.retain(|_, errors| !errors.is_empty());
    Ok(found)
}

fn of_source(text: &str) -> Result<Vec<(String, String)>> {
    let file = syn::parse_file(text)?;
    let mut constants = BTreeMap::new();
    for item in &file.items {
        if let syn::Item::Const(constant) = item {
            constants.insert(constant.ident.to_string(), (*constant.expr).clone());
        }
    }
    let mut hints = Hints { named: vec![constants], ..Hints::default() };
    hints.visit_file(&file);
    Ok(hints.found)
}

fn is_test(module: &syn::ItemMod) -> bool {
    module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

/// Collects the texts before and in each `.hint(…)`.
#[derive(Default)]
struct Hints {
    found: Vec<(String, String)>,
    /// The expressions that were given names, innermost function last.
    named: Vec<BTreeMap<String, syn::Expr>>,
}

impl<'s> Visit<'s> for Hints {
    fn visit_item_mod(&mut self, module: &'s syn::ItemMod) {
        if !is_test(module) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_block(&mut self, block: &'s syn::Block) {
        self.named.push(BTreeMap::new());
        visit::visit_block(self, block);
        self.named.pop();
    }

    fn visit_local(&mut self, local: &'s syn::Local) {
        visit::visit_local(self, local);
        if let (Some(value), Some(scope)) = (&local.init, self.named.last_mut()) {
            name_values(&local.pat, &value.expr, scope);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'s syn::ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        if call.method != "hint" {
            return;
        }
        let mut error = self.texts(&call.receiver, 0);
        error.dedup();
        let cure: Vec<String> = call.args.iter().flat_map(|argument| self.texts(argument, 0)).collect();
        self.add(&error.join(": "), &cure);
    }

    fn visit_expr_call(&mut self, call: &'s syn::ExprCall) {
        visit::visit_expr_call(self, call);
        let syn::Expr::Path(path) = &*call.func else { return };
        let is_known =
            path.path.segments.last().is_some_and(|name| MADE_BY.contains(&name.ident.to_string().as_str()));
        if let (true, [.., what, hint]) = (is_known, &call.args.iter().collect::<Vec<_>>()[..]) {
            self.add(&self.texts(what, 0).join(": "), &self.texts(hint, 0));
        }
    }
}

/// Adds the names that `let` of `pattern` introduces, with what they are set to.
fn name_values(pattern: &syn::Pat, value: &syn::Expr, scope: &mut BTreeMap<String, syn::Expr>) {
    match (pattern, value) {
        (syn::Pat::Type(typed), _) => name_values(&typed.pat, value, scope),
        (syn::Pat::Ident(name), _) => drop(scope.insert(name.ident.to_string(), value.clone())),
        (syn::Pat::Tuple(names), syn::Expr::Tuple(values)) => {
            names.elems.iter().zip(&values.elems).for_each(|(name, value)| name_values(name, value, scope));
        }
        _ => {}
    }
}

/// The functions, besides `hint`, whose last two arguments are an error and what to do.
const MADE_BY: [&str; 3] = ["failure", "warning", "refused"];

/// A name may be that of a name; not for ever.
const DEEPEST: usize = 6;

impl Hints {
    fn add(&mut self, error: &str, cure: &[String]) {
        // One whose whole text is a value of the moment has nothing to be found by.
        if error.chars().filter(|c| c.is_alphabetic()).count() > 3 && !cure.is_empty() {
            self.found.push((error.to_string(), cure.join("; ")));
        }
    }

    /// The texts of an expression: a literal, `format!`, `anyhow!`, a closure or a name of one, the arms of a `match`.
    fn texts(&self, expression: &syn::Expr, depth: usize) -> Vec<String> {
        if depth > DEEPEST {
            return vec![];
        }
        let deeper = |expression: &syn::Expr| self.texts(expression, depth + 1);
        let block = |block: &syn::Block| match block.stmts.last() {
            Some(syn::Stmt::Expr(last, _)) => deeper(last),
            Some(syn::Stmt::Macro(last)) => literal_of(&last.mac),
            _ => vec![],
        };
        match expression {
            syn::Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(text) => vec![pattern(&text.value())],
                _ => vec![],
            },
            syn::Expr::Macro(call) => literal_of(&call.mac),
            syn::Expr::Closure(closure) => deeper(&closure.body),
            syn::Expr::Block(inner) => block(&inner.block),
            syn::Expr::Call(call) if is_result(&call.func) => call.args.iter().flat_map(deeper).collect(),
            // The outermost part of an error's text comes first.
            syn::Expr::MethodCall(call) => {
                let receiver = deeper(&call.receiver);
                let own = || call.args.iter().flat_map(deeper).collect();
                match call.method.to_string().as_str() {
                    "context" | "with_context" => [own(), receiver].concat(),
                    "hint" => receiver,
                    // `.ok_or_else(|| anyhow!(…))`, `.map_err(…)`
                    _ => [receiver, own()].concat(),
                }
            }
            syn::Expr::Try(inner) => deeper(&inner.expr),
            syn::Expr::Paren(inner) => deeper(&inner.expr),
            syn::Expr::Reference(inner) => deeper(&inner.expr),
            syn::Expr::If(choice) => {
                let other = choice.else_branch.as_ref().map(|(_, other)| deeper(other)).unwrap_or_default();
                vec![[block(&choice.then_branch), other].concat().join(" / ")]
            }
            syn::Expr::Match(choice) => {
                let arms: Vec<String> = choice.arms.iter().flat_map(|arm| deeper(&arm.body)).collect();
                vec![arms.join(" / ")]
            }
            syn::Expr::Path(path) => {
                let name = path.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let value = self.named.iter().rev().find_map(|scope| scope.get(&name));
                value.map(deeper).unwrap_or_default()
            }
            _ => vec![],
        }
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect()
    }
}

/// Whether a call makes a result: `Err(…)`, `Some(…)`. The strings of any other call are not an error's text.
fn is_result(function: &syn::Expr) -> bool {
    matches!(function, syn::Expr::Path(path) if path.path.is_ident("Err") || path.path.is_ident("Some"))
}

/// The first string of a macro's arguments.
fn literal_of(call: &syn::Macro) -> Vec<String> {
    let first = call.tokens.clone().into_iter().next();
    let text = first.and_then(|token| syn::parse2::<syn::LitStr>(token.into()).ok());
    text.map(|text| pattern(&text.value())).into_iter().collect()
}

/// `text` with `…` for each value.
fn pattern(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('…');
        rest = after.split_once('}').map(|(_, after)| after.to_string()).unwrap_or_default();
    }
    out.push_str(&rest);
    out.replace('\u{1}', "{").replace('\u{2}', "}")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;
    use crate::workspace::Workspace;

    #[test]
    fn texts_are_put_together_as_the_programs_print_them() {
        let source = r#"
            fn f() -> Result<()> {
                let naming = || format!("open: {}", path);
                read(path).with_context(naming).hint("make it")?;
                let error = anyhow!("{name}: no such host");
                return Err(error).hint(format!("run: ssh {name}"));
            }
            fn g() -> Result<()> {
                Err(anyhow!("it is {}, not a FIFO", kind)).context("check").hint(match x { 1 => "a {{b}}", _ => "c" })
            }
            fn h() -> Complaint {
                let hint = Some(format!("chmod +x {}", path));
                list.push(refused(path, "is not executable".into(), hint));
                Complaint::warning("it is late", "wait")
            }
            fn i() -> Result<()> {
                let (naming, own) = (|| format!("find: {}", path), 1);
                Err(anyhow!("it is gone")).with_context(naming).hint("look for it")
            }
            fn j() -> Check { failure("it is missing", CURE) }
            const CURE: &str = "install it";
            #[cfg(test)]
            mod tests { fn t() { Err(anyhow!("never")).hint("listed") } }
        "#;
        let expected = [
            ("open: …", "make it"),
            ("…: no such host", "run: ssh …"),
            ("check: it is …, not a FIFO", "a {b} / c"),
            ("is not executable", "chmod +x …"),
            ("it is late", "wait"),
            ("find: …: it is gone", "look for it"),
            ("it is missing", "install it"),
        ];
        let expected = expected.map(|(error, cure)| (error.to_string(), cure.to_string()));
        assert_eq!(of_source(source).unwrap(), expected);
    }

    #[test]
    fn each_reason_to_refuse_a_script_is_listed() {
        let workspace = Workspace::find().unwrap();
        let sources = source::all(&workspace).unwrap();
        let listed = by_tool(&sources).unwrap();
        let errors: Vec<_> = listed["pre-backup-actions"].iter().map(|(error, _)| error.as_str()).collect();
        for error in [
            "has lines that end in CR LF, as Windows writes them",
            "names a program in its #! line that must not be run: …",
            "is not executable",
        ] {
            assert!(errors.contains(&error), "{error}: {errors:#?}");
        }
    }

    /// Every text between quotation marks in the page's own tables is in a program, and each of a dump is in the page.
    #[test]
    fn the_quoted_texts_of_the_page_are_those_of_the_programs() {
        #[derive(Default)]
        struct Texts(BTreeSet<String>);
        impl<'s> Visit<'s> for Texts {
            fn visit_item_mod(&mut self, module: &'s syn::ItemMod) {
                if !is_test(module) {
                    visit::visit_item_mod(self, module);
                }
            }
            fn visit_lit_str(&mut self, literal: &'s syn::LitStr) {
                self.0.insert(pattern(&literal.value()));
            }
            fn visit_macro(&mut self, call: &'s syn::Macro) {
                self.0.extend(literal_of(call));
                let arguments = call.parse_body_with(
                    syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated,
                );
                arguments.iter().flatten().for_each(|argument| self.visit_expr(argument));
            }
        }
        let workspace = Workspace::find().unwrap();
        let mut texts = Texts::default();
        for source in source::all(&workspace).unwrap() {
            if source.member != "xtask" && source.below_src().is_some() && !source.is_test() {
                texts.visit_file(&syn::parse_file(&source.text).unwrap());
            }
        }
        let page = fs::read_to_string(workspace.root.join(PAGE)).unwrap();
        let rows = page.split(START).next().unwrap().lines().filter_map(|line| line.strip_prefix("| "));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let quoted: BTreeSet<&str> = cells.flat_map(|cell| cell.split('"').skip(1).step_by(2)).collect();
        let is_printed = |text: &str| texts.0.iter().any(|known| known.contains(text));
        let unknown: Vec<_> = quoted.iter().filter(|text| !is_printed(text)).collect();
        assert!(unknown.is_empty(), "no program prints {unknown:?}");
        let of_dumps = texts.0.iter().filter(|text| text.starts_with("dump ") && *text != "dump …");
        let missing: Vec<_> = of_dumps.filter(|text| !quoted.contains(text.as_str())).collect();
        assert!(missing.is_empty(), "{PAGE} lacks {missing:?}");
    }
}
