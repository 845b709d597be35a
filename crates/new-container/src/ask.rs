//! Asks on a terminal for what the command line left open.
//!
//! In comes the command line, out goes a complete [`Request`]. Without a terminal nothing is asked: defaults hold.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result};

use crate::cli::{Cli, parse_image, parse_port};
use crate::request::Request;

/// Completes `cli`, whose name is `name`, by asking on the terminal if there is one.
pub(crate) fn complete(cli: &Cli, name: &str) -> Result<Request> {
    let mut request = Request::new(cli, name);
    let (stdin, stderr) = (io::stdin(), io::stderr());
    let can_ask = stdin.is_terminal() && stderr.is_terminal();
    // A template brings its own image.
    if cli.image.is_none() && cli.template.is_none() && can_ask {
        ask(&mut request, &mut stdin.lock(), &mut stderr.lock())?;
    }
    Ok(request)
}

fn ask(request: &mut Request, answers: &mut dyn BufRead, questions: &mut dyn Write) -> Result<()> {
    let question = format!("Image [{}]: ", request.image);
    if let Some(image) = one(&question, &parse_image, answers, questions)? {
        request.image = image;
        request.image_is_a_guess = false;
    }
    if request.ports.is_empty() {
        let port = one("Port, as HOST:CONTAINER [none]: ", &parse_port, answers, questions)?;
        request.ports.extend(port);
    }
    Ok(())
}

/// One answer that `parse` accepts, or `None` for an empty one and at the end of the input.
fn one(
    question: &str,
    parse: &dyn Fn(&str) -> Result<String, String>,
    answers: &mut dyn BufRead,
    questions: &mut dyn Write,
) -> Result<Option<String>> {
    loop {
        write!(questions, "{question}").and_then(|()| questions.flush()).context("ask")?;
        let mut answer = String::new();
        answers.read_line(&mut answer).context("read the answer")?;
        if answer.trim().is_empty() {
            return Ok(None);
        }
        match parse(answer.trim()) {
            Ok(answer) => return Ok(Some(answer)),
            Err(why) => writeln!(questions, "{why}").context("ask")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            name: "app".into(),
            image: "app:latest".into(),
            image_is_a_guess: true,
            ports: vec![],
            network: None,
            database: None,
            stop: false,
            template: None,
        }
    }

    #[test]
    fn a_wrong_answer_is_asked_again() {
        let mut request = request();
        let mut said = Vec::new();
        ask(&mut request, &mut &b"no good\nnginx:1\n80\n8080:80\n"[..], &mut said).unwrap();
        assert_eq!((request.image.as_str(), request.ports), ("nginx:1", vec!["8080:80".to_string()]));
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.matches("Image [app:latest]: ").count(), 2, "{said}");
        assert!(said.contains("such as 8080:80\n"), "{said}");
    }

    #[test]
    fn no_answer_is_the_default() {
        for answers in ["\n\n", ""] {
            let mut request = request();
            ask(&mut request, &mut answers.as_bytes(), &mut Vec::new()).unwrap();
            assert!(request.image_is_a_guess && request.ports.is_empty());
        }
    }
}
