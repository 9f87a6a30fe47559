//! The attribute of `tenantry-test`, which documents and re-exports it.

mod arguments;
mod expand;
#[cfg(test)]
mod messages;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Runs an async test with a fresh tenant: see `tenantry_test::test`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as arguments::Arguments);
    let function = parse_macro_input!(item as syn::ItemFn);
    expand::expand(&arguments, function).unwrap_or_else(|error| error.to_compile_error()).into()
}
