//! The event loop of `top`: sets up the terminal, handles keys and refreshes, and restores the terminal.

use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    model::{Key, Look, Model},
    source::Source,
    view,
};
use crate::{command::Ended, context::Context, exit::Exit, failure::Failure};

/// How often the thread that reads keys checks whether it should stop.
const POLL: Duration = Duration::from_millis(250);

/// A keyboard event.
enum Pressed {
    Key(Key),
    Resized,
    Quit,
}

pub(super) async fn run(
    on: &Context,
    source: Source,
    mut model: Model,
    interval: Duration,
) -> Ended {
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::while_doing("setting up the terminal", &error))?;
    let ended = go(on, &mut terminal, source, &mut model, interval).await;
    ratatui::restore();
    ended.map(|()| Exit::Fine)
}

async fn go(
    on: &Context,
    terminal: &mut DefaultTerminal,
    source: Source,
    model: &mut Model,
    interval: Duration,
) -> Result<(), Failure> {
    let mut pressed = keys();
    let (mut looks, looking) = looks(source, interval);
    let interrupted = on.interrupt.clone().wait();
    tokio::pin!(interrupted);
    let result = loop {
        if let Err(error) = terminal.draw(|frame| view::draw(frame, model)) {
            break Err(Failure::while_doing("drawing", &error));
        }
        tokio::select! {
            () = &mut interrupted => break Ok(()),
            look = looks.recv() => match look {
                Some(Ok(look)) => model.update(look),
                Some(Err(failure)) => model.error = Some(failure.to_string()),
                None => break Err(Failure::new("the reader has stopped")),
            },
            key = pressed.recv() => match key {
                Some(Pressed::Key(key)) if model.press(key) => break Ok(()),
                Some(Pressed::Key(_) | Pressed::Resized) => (),
                Some(Pressed::Quit) | None => break Ok(()),
            },
        }
    };
    looking.abort();
    result
}

/// Takes readings repeatedly.
fn looks(
    mut source: Source,
    interval: Duration,
) -> (mpsc::Receiver<Result<Look, Failure>>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        loop {
            sleep(interval).await;
            if sender.send(source.look().await).await.is_err() {
                return;
            }
        }
    });
    (receiver, task)
}

/// Reads keys on a thread, which ends when the receiver is dropped.
fn keys() -> mpsc::Receiver<Pressed> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let pressed = match event::poll(POLL) {
                Ok(false) => continue,
                Ok(true) => event::read().ok().and_then(pressed),
                Err(_) => Some(Pressed::Quit),
            };
            if let Some(pressed) = pressed
                && sender.blocking_send(pressed).is_err()
            {
                return;
            }
        }
    });
    receiver
}

fn pressed(event: Event) -> Option<Pressed> {
    let key = match event {
        Event::Resize(..) => return Some(Pressed::Resized),
        Event::Key(KeyEvent { kind: KeyEventKind::Press, code, modifiers, .. }) => {
            (code, modifiers)
        }
        _ => return None,
    };
    let (code, modifiers) = key;
    Some(Pressed::Key(match code {
        // In raw mode, Ctrl-C does not send a signal.
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => {
            return Some(Pressed::Quit);
        }
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    }))
}
