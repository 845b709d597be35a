//! What the command line left open, asked where somebody can answer.
//!
//! In comes the command line, out goes [`Wanted`], complete. Off a terminal nothing is asked: defaults hold.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result};

use crate::cli::{Cli, Database, parse_image, parse_port};

/// The service that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) image: String,
    /// Nobody named the image; it is made from the name.
    pub(crate) image_is_a_guess: bool,
    pub(crate) ports: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) database: Option<Database>,
    pub(crate) stop: bool,
    pub(crate) template: Option<String>,
}

/// Completes `cli`, whose name is `name`, by asking on the terminal if there is one.
pub(crate) fn complete(cli: &Cli, name: &str) -> Result<Wanted> {
    let mut wanted = Wanted {
        name: name.to_string(),
        image: cli.image.clone().unwrap_or_else(|| format!("{name}:latest")),
        image_is_a_guess: cli.image.is_none(),
        ports: cli.port.clone(),
        network: cli.network.clone(),
        database: cli.database,
        stop: cli.stop,
        template: cli.template.clone(),
    };
    let (stdin, stderr) = (io::stdin(), io::stderr());
    let somebody_answers = stdin.is_terminal() && stderr.is_terminal();
    // Who has a template has the image in it.
    if cli.image.is_none() && cli.template.is_none() && somebody_answers {
        ask(&mut wanted, &mut stdin.lock(), &mut stderr.lock())?;
    }
    Ok(wanted)
}

fn ask(wanted: &mut Wanted, answers: &mut dyn BufRead, questions: &mut dyn Write) -> Result<()> {
    let question = format!("Image [{}]: ", wanted.image);
    if let Some(image) = one(&question, &parse_image, answers, questions)? {
        wanted.image = image;
        wanted.image_is_a_guess = false;
    }
    if wanted.ports.is_empty() {
        let port = one("Port, as HOST:CONTAINER [none]: ", &parse_port, answers, questions)?;
        wanted.ports.extend(port);
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

    fn wanted() -> Wanted {
        Wanted {
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
        let mut wanted = wanted();
        let mut said = Vec::new();
        ask(&mut wanted, &mut &b"no good\nnginx:1\n80\n8080:80\n"[..], &mut said).unwrap();
        assert_eq!((wanted.image.as_str(), wanted.ports), ("nginx:1", vec!["8080:80".to_string()]));
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.matches("Image [app:latest]: ").count(), 2, "{said}");
        assert!(said.contains("such as 8080:80\n"), "{said}");
    }

    #[test]
    fn no_answer_is_the_default() {
        for answers in ["\n\n", ""] {
            let mut wanted = wanted();
            ask(&mut wanted, &mut answers.as_bytes(), &mut Vec::new()).unwrap();
            assert!(wanted.image_is_a_guess && wanted.ports.is_empty());
        }
    }
}
