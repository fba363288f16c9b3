//! What a page of figures is made of, as values: the same page is written for browsers and as Markdown.

use std::fmt::Write;

use crate::diagram::escape;

/// A page.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// What it is called.
    pub title: String,
    /// What it says in one sentence, and whether that is good.
    pub verdict: (bool, String),
    /// What is to be known before it is read.
    pub lead: String,
    /// The few figures that count.
    pub figures: Vec<Figure>,
    /// What it says.
    pub sections: Vec<Section>,
}

/// A number that stands for itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The number.
    pub value: String,
    /// What it counts.
    pub label: String,
}

/// A part of a page.
#[derive(Clone, PartialEq, Debug)]
pub struct Section {
    /// What it is about.
    pub title: String,
    /// What is to be known before its tables are read.
    pub text: String,
    /// What is wrong in it, if anything is.
    pub wrong: Vec<String>,
    /// Its table.
    pub table: Option<Table>,
}

/// A table.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// What each column has; one that ends in `#` has numbers.
    pub columns: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// The column that is drawn as bars as well, by the orders of magnitude.
    pub bars: Option<usize>,
    /// Whether it is long, so that it is shown when asked for.
    pub is_long: bool,
}

const STYLE: &str = include_str!("style.css");

impl Section {
    /// A section that is all well.
    pub fn new(title: &str, text: String, table: Option<Table>) -> Self {
        Self { title: title.into(), text, wrong: Vec::new(), table }
    }
}

impl Table {
    /// A table that is shown as it is.
    pub const fn new(columns: Vec<&'static str>, rows: Vec<Vec<String>>) -> Self {
        Self { columns, rows, bars: None, is_long: false }
    }

    fn is_number(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|name| name.ends_with('#'))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|name| name.trim_end_matches('#').trim())
    }
}

impl Page {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut page = format!("# {}\n\n**{}**\n\n{}\n\n", self.title, self.verdict.1, self.lead);
        for Figure { value, label } in &self.figures {
            put(&mut page, format_args!("- **{value}** {label}\n"));
        }
        for Section { title, text, wrong, table } in &self.sections {
            put(&mut page, format_args!("\n## {title}\n\n{text}\n"));
            for wrong in wrong {
                put(&mut page, format_args!("\n**{wrong}**\n"));
            }
            let Some(table) = table else { continue };
            let names = table.names().collect::<Vec<_>>().join(" | ");
            put(&mut page, format_args!("\n| {names} |\n|"));
            for column in 0..table.columns.len() {
                page.push_str(if table.is_number(column) { "---:|" } else { "---|" });
            }
            page.push('\n');
            for row in &table.rows {
                let row: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
                put(&mut page, format_args!("| {} |\n", row.join(" | ")));
            }
        }
        page
    }

    /// As one file of HTML that needs nothing else.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let (is_good, verdict) = &self.verdict;
        let how = if *is_good { "good" } else { "bad" };
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n<main>\n<h1>{title}</h1>\n\
             <p class=\"verdict {how}\">{}</p>\n<p class=\"lead\">{}</p>\n<div class=\"figures\">\n",
            prose(verdict),
            prose(&self.lead),
        );
        for Figure { value, label } in &self.figures {
            let (value, label) = (escape(value), escape(label));
            put(&mut page, format_args!("<div><b>{value}</b><span>{label}</span></div>\n"));
        }
        page.push_str("</div>\n");
        for Section { title, text, wrong, table } in &self.sections {
            let (title, text) = (escape(title), prose(text));
            put(&mut page, format_args!("<section><h2>{title}</h2>\n<p>{text}</p>\n"));
            for wrong in wrong {
                put(&mut page, format_args!("<p class=\"wrong\">{}</p>\n", prose(wrong)));
            }
            table.iter().for_each(|table| table.html(&mut page));
            page.push_str("</section>\n");
        }
        page.push_str("</main>\n</html>\n");
        page
    }
}

impl Table {
    fn html(&self, page: &mut String) {
        if self.is_long {
            put(page, format_args!("<details><summary>All {} rows</summary>", self.rows.len()));
        }
        page.push_str("<div class=\"wide\"><table><thead><tr>");
        for (column, name) in self.names().enumerate() {
            let class = if self.is_number(column) { " class=\"n\"" } else { "" };
            put(page, format_args!("<th{class}>{}</th>", escape(name)));
        }
        page.push_str("</tr></thead>\n");
        let most = self.rows.iter().map(|row| self.size(row)).fold(1.0, f64::max);
        for row in &self.rows {
            page.push_str("<tr>");
            for (column, cell) in row.iter().enumerate() {
                let class = if self.is_number(column) { " class=\"n\"" } else { "" };
                put(page, format_args!("<td{class}>{}", prose(cell)));
                if self.bars == Some(column) {
                    let wide = 100.0 * self.size(row) / most;
                    put(page, format_args!("<i style=\"width:{wide:.0}%\"></i>"));
                }
                page.push_str("</td>");
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table></div>\n");
        if self.is_long {
            page.push_str("</details>\n");
        }
    }

    /// How long the bar of a row is.
    fn size(&self, row: &[String]) -> f64 {
        let cell = self.bars.and_then(|column| row.get(column));
        let digits: String = cell
            .map(|cell| cell.chars().filter(char::is_ascii_digit).collect())
            .unwrap_or_default();
        digits.parse::<f64>().map_or(0.0, |count| (count + 1.0).log10())
    }
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a text takes any text");
}

/// Text for a browser: what stands between backticks is code.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    for (n, part) in escape(text).split('`').enumerate() {
        let is_code = n % 2 == 1;
        prose.push_str(if is_code { "<code>" } else { "" });
        prose.push_str(part);
        prose.push_str(if is_code { "</code>" } else { "" });
    }
    prose
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_same_for_browsers_and_as_markdown() {
        let rows = vec![vec!["a|b".to_owned(), count(1_234_567)]];
        let table = Table { bars: Some(1), ..Table::new(vec!["what", "how often #"], rows) };
        let page = Page {
            title: "Proof".into(),
            verdict: (true, "Nothing broke.".into()),
            lead: "Measured.".into(),
            figures: vec![Figure { value: "7".into(), label: "seeds".into() }],
            sections: vec![Section::new("Faults", "Each `<one>`.".into(), Some(table))],
        };
        let (markdown, html) = (page.markdown(), page.html());
        assert!(markdown.contains("| what | how often |\n|---|---:|\n| a\\|b | 1,234,567 |\n"));
        assert!(
            html.contains("Each <code>&lt;one&gt;</code>.")
                && html.contains("1,234,567<i style=\"width:100%")
        );
        assert!(!html.contains("http") && !html.contains("src="));
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([7, 999, 1_000, 1_000_000].map(count), ["7", "999", "1,000", "1,000,000"]);
    }
}
