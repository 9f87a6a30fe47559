//! The arguments of the attribute.

use syn::{
    Ident, LitInt, LitStr, Path, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// The arguments, each of which may be given once.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) migrations: Option<LitStr>,
    pub(crate) shared: Option<LitStr>,
    pub(crate) tenants: Option<Path>,
    pub(crate) fixtures: Option<Vec<LitStr>>,
    pub(crate) alone: Option<()>,
    /// Worker threads of a runtime with several of them.
    pub(crate) threads: Option<usize>,
}

const KNOWN: &str =
    "`migrations`, `shared`, `tenants`, `fixtures`, `alone`, `flavor` and `worker_threads`";

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        let mut runtime = Runtime::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            arguments.read(&name, input, &mut runtime)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        arguments.threads = runtime.threads()?;
        if let (Some(migrations), Some(_)) = (&arguments.migrations, &arguments.tenants) {
            let text = "`tenants` already names the migrations: remove `migrations`";
            return Err(syn::Error::new(migrations.span(), text));
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn read(
        &mut self,
        name: &Ident,
        input: ParseStream<'_>,
        runtime: &mut Runtime,
    ) -> syn::Result<()> {
        match name.to_string().as_str() {
            "migrations" => once(name, &mut self.migrations, value(input)?),
            "shared" => once(name, &mut self.shared, value(input)?),
            "tenants" => once(name, &mut self.tenants, value(input)?),
            "fixtures" => once(name, &mut self.fixtures, list(input)?),
            "alone" => once(name, &mut self.alone, ()),
            "flavor" => once(name, &mut runtime.flavor, value(input)?),
            "worker_threads" => once(name, &mut runtime.workers, value(input)?),
            other => {
                let text = format!("unknown argument `{other}`: the arguments are {KNOWN}");
                Err(syn::Error::new(name.span(), text))
            }
        }
    }
}

/// The arguments about the runtime.
#[derive(Default)]
struct Runtime {
    flavor: Option<LitStr>,
    workers: Option<LitInt>,
}

impl Runtime {
    /// Returns the number of worker threads, unless the runtime is to have one thread.
    fn threads(&self) -> syn::Result<Option<usize>> {
        let workers = self.workers.as_ref().map(LitInt::base10_parse).transpose()?;
        let flavor = self.flavor.as_ref().map(|flavor| (flavor.value(), flavor.span()));
        match (flavor.as_ref().map(|(name, span)| (name.as_str(), span)), &self.workers) {
            (None | Some(("current_thread", _)), None) => Ok(None),
            (Some(("multi_thread", _)), Some(literal)) if workers == Some(0) => {
                Err(syn::Error::new(literal.span(), "a runtime needs at least one worker thread"))
            }
            (Some(("multi_thread", _)), _) => Ok(Some(workers.unwrap_or(2))),
            (None | Some(("current_thread", _)), Some(literal)) => {
                let text = "`worker_threads` needs `flavor = \"multi_thread\"`";
                Err(syn::Error::new(literal.span(), text))
            }
            (Some((_, span)), _) => {
                let text = "the flavors are \"current_thread\" and \"multi_thread\"";
                Err(syn::Error::new(*span, text))
            }
        }
    }
}

fn once<T>(name: &Ident, place: &mut Option<T>, value: T) -> syn::Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(syn::Error::new(name.span(), format!("`{name}` is given twice"))),
    }
}

/// Reads `= value`.
fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Reads `("one", "two")`.
fn list(input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in input);
    let names: Punctuated<LitStr, Token![,]> = Punctuated::parse_terminated(&content)?;
    Ok(names.into_iter().collect())
}
