//! The page about a name, as HTML without a script. Every text is escaped, whoever wrote it.

use std::fmt;

use crate::api::explain::ExplainReply;
use crate::wallet::words;

/// The page.
pub fn page<'p>(explained: &'p ExplainReply, zonefile: Option<&'p str>) -> impl fmt::Display + 'p {
    Page {
        explained,
        zonefile,
    }
}

/// The page that says why there is none.
pub fn refusal(sentence: &str) -> impl fmt::Display {
    Refused(sentence)
}

struct Refused<'p>(&'p str);

struct Page<'p> {
    explained: &'p ExplainReply,
    zonefile: Option<&'p str>,
}

/// A text that cannot become markup, in an element or in a quoted attribute.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.explained.name)?;
        f.write_str(
            "<p>This name is registered on the blockchain, and it names no place where a web page of its own would be. What is \
             known of it is shown by the resolver of this machine, bnsd.</p>\n",
        )?;
        self.write_owner(f)?;
        self.write_proof(f)?;
        self.write_zonefile(f)?;
        f.write_str(END)
    }
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, "bnsd")?;
        write!(f, "<p>{}</p>\n{END}", Escaped(self.0))
    }
}

const END: &str = "</main>\n</body>\n</html>\n";

/// Everything before the text, with a heading.
fn write_head(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    let title = Escaped(title);
    write!(
        f,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"{}\">\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n",
        super::STYLE
    )
}

impl Page<'_> {
    fn write_owner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = &self.explained.provenance.registration;
        f.write_str("<h2>Owner</h2>\n<dl>\n")?;
        entry(f, "owner", known.owner.clone())?;
        let since = known.first_registered;
        let time = known.first_registered_time.as_deref();
        entry(
            f,
            "registered at",
            since.map(|height| words::block_there(height, time)),
        )?;
        let end = known.term.heights.renewal_deadline;
        let date = known.term.renewal_deadline_estimated.as_deref();
        entry(
            f,
            "renewal deadline",
            end.map(|height| words::block_to_come(height, date)),
        )?;
        f.write_str("</dl>\n")
    }

    /// What anybody with the chain can check.
    fn write_proof(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = &self.explained.provenance.registration;
        f.write_str("<h2>Proof</h2>\n<dl>\n")?;
        entry(f, "last operation", known.operation.clone())?;
        let time = known.time.as_deref();
        entry(
            f,
            "block",
            known.height.map(|height| words::block_there(height, time)),
        )?;
        entry(f, "transaction", known.txid.map(|txid| txid.to_string()))?;
        let confirmations = self.explained.provenance.confirmations;
        entry(
            f,
            "confirmations",
            confirmations.map(|count| count.to_string()),
        )?;
        entry(
            f,
            "zone file hash",
            known.zonefile_hash.map(|hash| hash.to_string()),
        )?;
        entry(f, "consensus hash", self.explained.consensus_hash.clone())?;
        f.write_str("</dl>\n")
    }

    fn write_zonefile(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<h2>Zone file</h2>\n")?;
        match self.zonefile {
            Some(text) => writeln!(f, "<pre tabindex=\"0\">{}</pre>", Escaped(text)),
            None => f.write_str("<p>It has none.</p>\n"),
        }
    }
}

fn entry(f: &mut fmt::Formatter<'_>, label: &str, value: Option<String>) -> fmt::Result {
    match value {
        Some(value) => writeln!(f, "<div><dt>{label}</dt><dd>{}</dd></div>", Escaped(&value)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let explained = ExplainReply {
            name: "<b>.id".to_owned(),
            ..ExplainReply::default()
        };
        let hostile = "</pre><script>alert('x' && \"y\")</script>";
        let text = page(&explained, Some(hostile)).to_string();
        let escaped =
            "&lt;/pre&gt;&lt;script&gt;alert(&#39;x&#39; &amp;&amp; &quot;y&quot;)&lt;/script&gt;";
        assert!(text.contains(escaped), "{text}");
        assert!(text.contains("<h1>&lt;b&gt;.id</h1>"), "{text}");
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        let text = refusal(hostile).to_string();
        assert!(text.contains(escaped), "{text}");
    }
}
