//! The dialogue on a terminal: asks for what the command line left open.
//!
//! In comes a [`Service`] with gaps, out goes a complete one; `None` if the person closed the input (Ctrl-D), and then
//! nothing may be made. An empty answer is the default in brackets.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use common::exit::is_caused_by;

use crate::cli::{Database, parse_image, parse_name, parse_network, parse_port};
use crate::ports::Taken;
use crate::request::Service;

/// Whether there is a terminal to ask on.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Where the person is asked.
pub(crate) struct Dialogue<'a> {
    pub(crate) answers: &'a mut dyn BufRead,
    pub(crate) questions: &'a mut dyn Write,
    /// Why a name can't be used.
    pub(crate) check_name: &'a dyn Fn(&str) -> Result<(), String>,
    pub(crate) taken: &'a Taken,
}

impl Dialogue<'_> {
    /// Asks for what `service` lacks: `all` of it, or the image and the port.
    pub(crate) fn complete(&mut self, mut service: Service, all: bool) -> Result<Option<Service>> {
        match self.fill(&mut service, all) {
            Err(error) if is_caused_by(&error, ErrorKind::UnexpectedEof) => Ok(None),
            filled => filled.map(|()| Some(service)),
        }
    }

    fn fill(&mut self, service: &mut Service, all: bool) -> Result<()> {
        if service.name.is_empty() {
            service.name = self.name()?;
        }
        // A template brings its own image.
        if service.image.is_none() && service.template.is_none() {
            service.image = self.one(&format!("Image [{}]: ", service.image()), &parse_image)?;
        }
        if service.ports.is_empty() {
            service.ports.extend(self.port()?);
        }
        if !all {
            return Ok(());
        }
        if service.network.is_none() {
            service.network =
                self.one("Network to join, such as a reverse proxy's [none]: ", &parse_network)?;
        }
        if service.database.is_none() {
            let names = Database::names().join(", ");
            let parse = |text: &str| {
                <Database as ValueEnum>::from_str(text, true)
                    .map_err(|_| format!("one of {names}, or nothing"))
            };
            service.database = self.one(&format!("Database ({names}) [none]: "), &parse)?;
        }
        if !service.stop {
            let question = "Stop the service during each backup, instead of a dump? [y/N]: ";
            service.stop = self.one(question, &yes_or_no)?.unwrap_or_default();
        }
        Ok(())
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
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
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
    use super::*;

    /// What comes of these answers, and what was asked.
    #[track_caller]
    fn asked(service: Service, all: bool, answers: &str) -> (Option<Service>, String) {
        let mut questions = Vec::new();
        let check = |name: &str| if name == "backrest" { Err("reserved".to_string()) } else { Ok(()) };
        let service = Dialogue {
            answers: &mut answers.as_bytes(),
            questions: &mut questions,
            check_name: &check,
            taken: &Taken::default(),
        }
        .complete(service, all)
        .unwrap();
        (service, String::from_utf8(questions).unwrap())
    }

    fn app() -> Service {
        Service { name: "app".into(), ..Service::default() }
    }

    #[test]
    fn a_wrong_answer_is_asked_again() {
        let (request, questions) = asked(app(), false, "no good\nnginx:1\n80\n8081:80\n");
        let request = request.unwrap();
        assert_eq!((request.image(), request.ports), ("nginx:1".to_string(), vec!["8081:80".to_string()]));
        assert_eq!(questions.matches("Image [app:latest]: ").count(), 2, "{questions}");
        assert!(questions.contains("such as 8080:80\nPort, as HOST:CONTAINER [8080:80]: "), "{questions}");
    }

    #[test]
    fn an_empty_answer_is_the_default() {
        let (request, _) = asked(app(), false, "\n\n");
        let request = request.unwrap();
        assert!(request.image.is_none() && request.ports.is_empty());
        let (request, _) = asked(app(), false, "\n80\n\n");
        assert_eq!(request.unwrap().ports, ["8080:80"]);
    }

    #[test]
    fn the_whole_dialogue_asks_for_everything_that_is_not_given() {
        let answers = "\nMy App\nbackrest\nwiki\n\n\n\nredis\ny\n";
        let (request, questions) = asked(Service::default(), true, answers);
        let request = request.unwrap();
        assert_eq!(
            (request.name.as_str(), request.database, request.stop),
            ("wiki", Some(Database::Redis), true)
        );
        assert_eq!(questions.matches("Name: ").count(), 4, "{questions}");
        let given = Service {
            image: Some("x".into()),
            ports: vec!["1:1".into()],
            network: Some("n".into()),
            ..request
        };
        assert_eq!(asked(given, true, "").1, "");
    }
}
