//! Calls of `set_config`, the function form of `set`.

use super::{
    literal,
    script::{Kind, Token},
};

/// A call whose setting is a literal.
pub(super) struct SetConfig {
    pub(super) at: usize,
    /// In lower case.
    pub(super) setting: String,
    /// Whether it ends with the transaction.
    pub(super) is_local: bool,
}

/// Returns the calls in a statement.
pub(super) fn set_configs<'t>(tokens: &'t [Token<'_>]) -> impl Iterator<Item = SetConfig> + 't {
    (0..tokens.len()).filter_map(|index| {
        let (function, rest) = tokens[index..].split_first()?;
        let is_call = function.is_name()
            && function.name() == "set_config"
            && rest.first().is_some_and(|open| open.kind == Kind::Open);
        let rest = rest.get(1..).filter(|_| is_call)?;
        // The parameter name can precede it, and a cast can follow.
        let argument = rest.iter().take(6).take_while(|token| token.kind != Kind::Comma);
        let mut texts = argument.filter(|token| matches!(token.kind, Kind::Text | Kind::Dollar));
        let setting = literal::content(texts.next()?.text)?.to_ascii_lowercase();
        let end = rest.iter().position(|token| token.kind == Kind::Close);
        let is_local = end.and_then(|end| rest[..end].last()).is_some_and(|last| last.is("true"));
        Some(SetConfig { at: function.at, setting, is_local })
    })
}
