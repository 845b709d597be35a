//! The dialogue on a terminal: asks for what the command line left open.
//!
//! In comes the command line, out goes a complete [`Request`]; `None` if the person closed the input (Ctrl-D), and then
//! nothing may be made. An empty answer is the default in brackets.

use std::fmt;
use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cli::{Cli, Database, parse_image, parse_name, parse_network, parse_port};
use crate::ports::Taken;
use crate::request::Request;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The image and the port.
    Short,
    /// Everything that is not given.
    Everything,
}

/// Where the person is asked.
pub(crate) struct Dialogue<'a> {
    pub(crate) answers: &'a mut dyn BufRead,
    pub(crate) questions: &'a mut dyn Write,
    /// Why a name can't be used.
    pub(crate) check_name: &'a dyn Fn(&str) -> Result<(), String>,
    pub(crate) taken: &'a Taken,
}

/// The person closed the input.
#[derive(Debug)]
struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the input ended")
    }
}

impl std::error::Error for Ended {}

impl Dialogue<'_> {
    /// Asks for what `cli` does not give.
    pub(crate) fn complete(&mut self, cli: &Cli, extent: Extent) -> Result<Option<Request>> {
        match self.request(cli, extent) {
            Err(error) if error.is::<Ended>() => Ok(None),
            request => request.map(Some),
        }
    }

    fn request(&mut self, cli: &Cli, extent: Extent) -> Result<Request> {
        let name = match &cli.name {
            Some(name) => name.clone(),
            None => self.name()?,
        };
        let mut request = Request::new(cli, &name);
        // A template brings its own image.
        if cli.image.is_none() && cli.template.is_none() {
            if let Some(image) = self.one(&format!("Image [{}]: ", request.image), &parse_image)? {
                (request.image, request.image_is_a_guess) = (image, false);
            }
        }
        if request.ports.is_empty() {
            request.ports.extend(self.port()?);
        }
        if extent == Extent::Short {
            return Ok(request);
        }
        if request.network.is_none() {
            request.network =
                self.one("Network to join, such as a reverse proxy's [none]: ", &parse_network)?;
        }
        if request.database.is_none() {
            let values = Database::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            let names = values.map(|value| value.get_name().to_string()).collect::<Vec<_>>().join(", ");
            let parse = |text: &str| {
                <Database as ValueEnum>::from_str(text, true)
                    .map_err(|_| format!("one of {names}, or nothing"))
            };
            request.database = self.one(&format!("Database ({names}) [none]: "), &parse)?;
        }
        if !request.stop {
            let question = "Stop the service during each backup, instead of a dump? [y/N]: ";
            request.stop = self.one(question, &yes_or_no)?.unwrap_or_default();
        }
        Ok(request)
    }

    fn name(&mut self) -> Result<String> {
        let check = self.check_name;
        let parse = |text: &str| parse_name(text).and_then(|name| check(&name).map(|()| name));
        loop {
            if let Some(name) = self.one("Name: ", &parse)? {
                return Ok(name);
            }
        }
    }

    /// A port that is free, or none. After a wrong answer a free one is the default.
    fn port(&mut self) -> Result<Option<String>> {
        let mut proposal: Option<String> = None;
        loop {
            let question = format!("Port, as HOST:CONTAINER [{}]: ", proposal.as_deref().unwrap_or("none"));
            let Some(text) = self.one(&question, &|text| Ok(text.to_string()))? else { return Ok(proposal) };
            let problem = match parse_port(&text) {
                Err(why) => {
                    // A number alone is the container's port.
                    let port = self.taken.instead_of(&format!("8080:{text}"));
                    if parse_port(&port).is_ok() {
                        proposal = Some(port);
                    }
                    why
                }
                Ok(port) => match self.taken.by(&port) {
                    None => return Ok(Some(port)),
                    Some(by) => {
                        proposal = Some(self.taken.instead_of(&port));
                        format!("this port is taken: {by}")
                    }
                },
            };
            writeln!(self.questions, "{problem}").context("ask")?;
        }
    }

    /// One answer that `parse` accepts; `None` for an empty line.
    fn one<T>(&mut self, question: &str, parse: &dyn Fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        loop {
            write!(self.questions, "{question}").and_then(|()| self.questions.flush()).context("ask")?;
            let mut answer = String::new();
            if self.answers.read_line(&mut answer).context("read the answer")? == 0 {
                writeln!(self.questions).context("ask")?;
                bail!(Ended);
            }
            if answer.trim().is_empty() {
                return Ok(None);
            }
            match parse(answer.trim()) {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => writeln!(self.questions, "{why}").context("ask")?,
            }
        }
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("y or n".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// What comes of these answers, and what was asked.
    #[track_caller]
    fn asked(arguments: &[&str], extent: Extent, answers: &str) -> (Option<Request>, String) {
        let cli = Cli::parse_from([&["new-container"], arguments].concat());
        let mut questions = Vec::new();
        let check = |name: &str| if name == "backrest" { Err("reserved".to_string()) } else { Ok(()) };
        let request = Dialogue {
            answers: &mut answers.as_bytes(),
            questions: &mut questions,
            check_name: &check,
            taken: &Taken::default(),
        }
        .complete(&cli, extent)
        .unwrap();
        (request, String::from_utf8(questions).unwrap())
    }

    #[test]
    fn a_wrong_answer_is_asked_again() {
        let (request, questions) = asked(&["app"], Extent::Short, "no good\nnginx:1\n80\n8081:80\n");
        let request = request.unwrap();
        assert_eq!((request.image.as_str(), request.ports), ("nginx:1", vec!["8081:80".to_string()]));
        assert_eq!(questions.matches("Image [app:latest]: ").count(), 2, "{questions}");
        assert!(questions.contains("such as 8080:80\nPort, as HOST:CONTAINER [8080:80]: "), "{questions}");
    }

    #[test]
    fn an_empty_answer_is_the_default() {
        let (request, _) = asked(&["app"], Extent::Short, "\n\n");
        let request = request.unwrap();
        assert!(request.image_is_a_guess && request.ports.is_empty());
        let (request, _) = asked(&["app"], Extent::Short, "\n80\n\n");
        assert_eq!(request.unwrap().ports, ["8080:80"]);
    }

    #[test]
    fn the_whole_dialogue_asks_for_everything_that_is_not_given() {
        let answers = "\nMy App\nbackrest\nwiki\n\n\n\nredis\ny\n";
        let (request, questions) = asked(&["--ask"], Extent::Everything, answers);
        let request = request.unwrap();
        assert_eq!(
            (request.name.as_str(), request.database, request.stop),
            ("wiki", Some(Database::Redis), true)
        );
        assert_eq!(questions.matches("Name: ").count(), 4, "{questions}");
        let given = ["w", "--image", "x", "--port", "1:1", "--network", "n", "--database", "redis", "--stop"];
        assert_eq!(asked(&given, Extent::Everything, "").1, "");
    }

    #[test]
    fn the_end_of_the_input_makes_nothing() {
        let answers = "wiki\n\n\n\n\n\n";
        for end in 0..answers.len() {
            assert!(asked(&[], Extent::Everything, &answers[..end]).0.is_none(), "{end}");
        }
        assert!(asked(&[], Extent::Everything, answers).0.is_some());
    }
}
