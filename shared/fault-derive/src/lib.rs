//! The derive macro of `accretion_core::Fault`, which core exports and documents.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Member, Token, Variant};

/// Implements `Fault` for an error enum, and lists its codes as the constant `CODES`.
///
/// Each variant has one attribute:
///
/// - `#[fault(User)]`, `#[fault(Transient)]` or `#[fault(Internal)]`: an error of this class, whose
///   code is the variant's name;
/// - `#[fault(transparent)]`: an error with the code, the class and the hint of its only field;
///   `#[fault(transparent = error)]`: with those of the named one.
///
/// After it may stand `hint = …`: a format string, or an expression for a `String` or an
/// `Option<String>`. Both may name the variant's fields, which are references; those of a tuple are
/// `_0`, `_1` and so on.
#[proc_macro_derive(Fault, attributes(fault))]
pub fn derive_fault(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// The argument of `#[fault(…)]`.
struct Attribute {
    source: Source,
    hint: Option<Hint>,
}

/// The origin of an error's code and class.
enum Source {
    /// The variant itself, with this class.
    Variant(Ident),
    /// A field; the only one if none is named.
    Field(Option<Ident>),
}

/// The hint of a variant.
enum Hint {
    /// A format string.
    Format(LitStr),
    /// An expression for a `String` or an `Option<String>`.
    Computed(TokenStream),
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let word: Ident = input.parse()?;
        let source = if word != "transparent" {
            Source::Variant(word)
        } else if input.parse::<Option<Token![=]>>()?.is_some() {
            Source::Field(Some(input.parse()?))
        } else {
            Source::Field(None)
        };
        let mut hint = None;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
            let name: Ident = input.parse()?;
            if name != "hint" {
                return Err(Error::new(name.span(), "expected `hint = …`"));
            }
            input.parse::<Token![=]>()?;
            hint = Some(if input.peek(LitStr) {
                Hint::Format(input.parse()?)
            } else {
                Hint::Computed(input.parse()?)
            });
        }
        Ok(Self { source, hint })
    }
}

/// The parts of a variant in the table of codes and in the matches.
struct Arms {
    row: Option<TokenStream>,
    code_and_class: TokenStream,
    hint: TokenStream,
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        let message = "`Fault` is derived for enums; implement it by hand";
        return Err(Error::new_spanned(input, message));
    };
    let arms = data
        .variants
        .iter()
        .map(arms_of)
        .collect::<syn::Result<Vec<_>>>()?;
    let rows = arms.iter().filter_map(|arm| arm.row.as_ref());
    let codes = arms.iter().map(|arm| &arm.code_and_class);
    let hints = arms.iter().map(|arm| &arm.hint);
    let (name, visibility) = (&input.ident, &input.vis);
    Ok(quote! {
        impl #name {
            /// The codes of this enum's own errors with their classes.
            #[allow(dead_code)]
            #visibility const CODES: &[(&'static str, ::accretion_core::Class)] = &[#(#rows),*];

            fn code_and_class(&self) -> (&'static str, ::accretion_core::Class) {
                match self { #(#codes)* }
            }
        }

        #[automatically_derived]
        impl ::accretion_core::Fault for #name {
            fn code(&self) -> &'static str {
                self.code_and_class().0
            }

            fn class(&self) -> ::accretion_core::Class {
                self.code_and_class().1
            }

            #[allow(unused_variables, clippy::used_underscore_binding)]
            fn hint(&self) -> ::std::option::Option<::std::string::String> {
                match self { #(#hints)* }
            }
        }
    })
}

fn arms_of(variant: &Variant) -> syn::Result<Arms> {
    let attribute = attribute_of(variant)?;
    let name = &variant.ident;
    let pattern = pattern_of(variant);
    let hint = attribute.hint.map(|hint| match hint {
        Hint::Format(text) => quote!(::std::option::Option::Some(::std::format!(#text))),
        Hint::Computed(expression) => quote!(::std::convert::Into::into(#expression)),
    });
    Ok(match attribute.source {
        Source::Variant(class) => {
            let code = name.to_string();
            let pair = quote!((#code, ::accretion_core::Class::#class));
            let own = hint.unwrap_or_else(|| quote!(::std::option::Option::None));
            Arms {
                code_and_class: quote!(Self::#name { .. } => #pair,),
                hint: quote!(#pattern => #own,),
                row: Some(pair),
            }
        }
        Source::Field(field) => {
            let member = match field {
                Some(field) => Member::Named(field),
                None => only_field(variant)?,
            };
            // A method call passes through a `Box`.
            let inherited = quote!({
                use ::accretion_core::Fault as _;
                error.hint()
            });
            let forwarded = quote!(Self::#name { #member: error, .. });
            Arms {
                row: None,
                code_and_class: quote!(#forwarded => {
                    use ::accretion_core::Fault as _;
                    (error.code(), error.class())
                }),
                hint: if let Some(hint) = hint {
                    quote!(#pattern => #hint,)
                } else {
                    quote!(#forwarded => #inherited)
                },
            }
        }
    })
}

fn attribute_of(variant: &Variant) -> syn::Result<Attribute> {
    let mut attributes = variant
        .attrs
        .iter()
        .filter(|it| it.path().is_ident("fault"));
    match (attributes.next(), attributes.next()) {
        (Some(attribute), None) => attribute.parse_args(),
        _ => Err(Error::new_spanned(
            variant,
            "expected one attribute `#[fault(User)]`, `#[fault(Transient)]`, `#[fault(Internal)]` or \
             `#[fault(transparent)]`",
        )),
    }
}

/// A pattern that binds all fields of a variant.
fn pattern_of(variant: &Variant) -> TokenStream {
    let name = &variant.ident;
    match &variant.fields {
        Fields::Named(fields) => {
            let names = fields.named.iter().map(|field| &field.ident);
            quote!(Self::#name { #(#names),* })
        }
        Fields::Unnamed(fields) => {
            let names = (0..fields.unnamed.len()).map(|at| format_ident!("_{at}"));
            quote!(Self::#name(#(#names),*))
        }
        Fields::Unit => quote!(Self::#name),
    }
}

fn only_field(variant: &Variant) -> syn::Result<Member> {
    let mut members = variant.fields.members();
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        _ => Err(Error::new_spanned(
            variant,
            "expected one field, or `#[fault(transparent = FIELD)]`",
        )),
    }
}
