//! The function that the test harness calls.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{FnArg, ItemFn, LitStr, ReturnType, spanned::Spanned as _};

use crate::arguments::Arguments;

/// Creates a `#[test]` function around the async one.
pub(crate) fn expand(arguments: &Arguments, function: ItemFn) -> syn::Result<TokenStream> {
    check(&function)?;
    let ItemFn { attrs, vis, sig, block } = &function;
    let (name, inputs, output) = (&sig.ident, &sig.inputs, &sig.output);
    let call = match inputs.is_empty() {
        // The tenant still exists while the test runs.
        true => quote!(|_tenant| #name()),
        false => quote!(#name),
    };
    let plan = plan(arguments, name);
    let takes_tenant = takes_tenant(inputs.first());
    let run = run(output);
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            #takes_tenant
            async fn #name(#inputs) #output #block
            #run(#plan, #call)
        }
    })
}

/// Has the compiler point at the type of the argument if it is another one.
fn takes_tenant(argument: Option<&FnArg>) -> Option<TokenStream> {
    let FnArg::Typed(argument) = argument? else { return None };
    let of = &argument.ty;
    Some(quote_spanned! {of.span()=>
        const _: fn(::tenantry_test::TestTenant) -> #of = |tenant| tenant;
    })
}

/// Has the compiler point at the type that the test returns if it is none that a test returns.
fn run(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => quote!(::tenantry_test::harness::run),
        ReturnType::Type(_, of) => {
            quote_spanned!(of.span()=> ::tenantry_test::harness::run::<_, #of>)
        }
    }
}

fn check(function: &ItemFn) -> syn::Result<()> {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        let text = "a test with a tenant must be an `async fn`";
        return Err(syn::Error::new_spanned(sig.fn_token, text));
    }
    if !sig.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&sig.generics, "a test must not have type parameters"));
    }
    if let Some(second) = sig.inputs.iter().nth(1) {
        let text =
            "a test takes one `TestTenant` or no argument; `another()` creates a second tenant";
        return Err(syn::Error::new_spanned(second, text));
    }
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            Err(syn::Error::new_spanned(receiver, "a test must be a function, not a method"))
        }
        _ => Ok(()),
    }
}

fn plan(arguments: &Arguments, name: &syn::Ident) -> TokenStream {
    let migrations =
        arguments.migrations.as_ref().map_or_else(|| quote!("migrations"), |m| quote!(#m));
    let shared = option(arguments.shared.as_ref());
    let tenants = option(arguments.tenants.as_ref());
    let threads = option(arguments.threads.as_ref());
    let alone = arguments.alone.is_some();
    let fixtures = arguments.fixtures.iter().flatten().map(fixture);
    quote! {
        ::tenantry_test::harness::Plan {
            name: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            migrations: #migrations,
            shared: #shared,
            tenants: #tenants,
            fixtures: &[#(#fixtures),*],
            alone: #alone,
            threads: #threads,
        }
    }
}

fn option(value: Option<&impl quote::ToTokens>) -> TokenStream {
    value.map_or_else(
        || quote!(::core::option::Option::None),
        |value| quote!(::core::option::Option::Some(#value)),
    )
}

/// The name and the text of a fixture, which the compiler reads relative to the file of the test.
fn fixture(name: &LitStr) -> TokenStream {
    let text = name.value();
    let path = match text.ends_with(".sql") || text.contains('/') {
        true => text,
        false => format!("fixtures/{text}.sql"),
    };
    let path = LitStr::new(&path, name.span());
    quote!((#name, ::core::include_str!(#path)))
}
