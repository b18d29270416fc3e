/** The text of a piece of HTML, read as leniently as `BeautifulSoup(html, 'html.parser').text` reads it. */
import { namedCharacter, numberedCharacter } from './caption-cleaning-entities.js';

/** Elements whose text is none of the page's: code, styles, templates, and the readings of ruby characters. */
const HIDDEN = new Set(['script', 'style', 'template', 'rp', 'rt']);
/** Elements without an end tag. */
const VOID = new Set(
  'area base br col embed hr img input keygen link menuitem meta param source track wbr'.split(' ').concat(
    'basefont bgsound command frame image isindex nextid spacer'.split(' '), // of HTML 2 to 4
  ),
);

/** Names of start and end tags, and references, as they stand at a position. */
const AT = {
  special: /[<&]/g,
  startTag: /<([a-zA-Z][^\t\n\r\f />\0]*)/y,
  // after a space, a slash or a quote only: `a="x` is not finished
  attribute: /(?<=['"\s/])[^\s/>][^\s/=>]*(?:\s*=+\s*(?:'[^']*'|"[^"]*"|(?!['"])[^>\s]*))?/y,
  between: /[\s/]*/y,
  endTag: /<\/\s*([a-zA-Z][-.a-zA-Z0-9:_]*)\s*>/y,
  endTagName: /<\/([a-zA-Z][^\t\n\r\f />\0]*)/y,
  section: /<!\[\s*(?:(cdata|temp|ignore|include|rcdata)|if|else|endif)\b\s*/iy,
  number: /&#(?:(\d+)|[xX]([\da-fA-F]+))(?=[^\da-fA-F])/y,
  name: /&([a-zA-Z][-.a-zA-Z0-9]*)(?=[^a-zA-Z0-9])/y,
};

/**
 * Tags, comments, declarations and the content of `<script>` and the like go; `&name;` and `&#n;` become characters, an
 * unknown `&name;` loses its semicolon; text between tags that is only space becomes one space or line break. Markup that
 * is not finished stays as text, as does a `<` that begins no tag ("a < b", "<3").
 *
 * Follows Python 3.11 and bs4 4.15; a marked section of an unknown kind (`<![x`), which makes those fail, goes up to
 * its `>`.
 */
export function htmlText(html: string): string {
  return new Reader(html).read();
}

class Reader {
  private at = 0;
  private out = '';
  private data = ''; // since the last tag
  private readonly open: string[] = [];
  /** html.parser reads twice: at unfinished markup, or a `&#` without digits, the second time begins. */
  private final = false;

  constructor(private readonly html: string) {}

  read(): string {
    while (this.at < this.html.length) {
      this.text(this.match(AT.special)?.index ?? this.html.length);
      if (this.html[this.at] === '<') this.markup();
      else if (this.html[this.at] === '&' && !this.reference()) break;
    }
    this.text(this.html.length);
    this.flush();
    return this.out;
  }

  /** Takes what stands up to `end` as text. */
  private text(end: number): void {
    this.data += this.html.slice(this.at, end);
    this.at = Math.max(this.at, end);
  }

  private flush(): void {
    const blank = /^[ \n\t\f\r]+$/.test(this.data);
    const text = blank ? (this.data.includes('\n') ? '\n' : ' ') : this.data;
    if (!this.open.some(name => HIDDEN.has(name))) this.out += text;
    this.data = '';
  }

  private match(pattern: RegExp, at = this.at): RegExpExecArray | null {
    pattern.lastIndex = at;
    return pattern.exec(this.html);
  }

  private markup(): void {
    const { html, at } = this;
    let end: number;
    if (this.match(AT.startTag)) end = this.startTag();
    else if (html.startsWith('</', at)) end = this.endTag();
    else if (html.startsWith('<!--', at)) end = this.skip(/--\s*>/g, at + 4);
    else if (html.startsWith('<![', at)) end = this.section();
    else if (html.startsWith('<!', at) || html.startsWith('<?', at)) end = this.skip(/>/g, at + 2);
    else end = at + 1; // no markup: text
    if (end > at + 1) this.at = end;
    else if (end === at + 1) this.text(end);
    else {
      this.final = true;
      const close = html.indexOf('>', at + 1);
      const another = html.indexOf('<', at + 1);
      this.text(close >= 0 ? close + 1 : another >= 0 ? another : at + 1);
    }
  }

  /** Leaves out what stands up to the end of `pattern`. @returns where that is, -1 when nowhere */
  private skip(pattern: RegExp, from: number): number {
    pattern.lastIndex = from;
    const found = pattern.exec(this.html);
    if (!found) return -1;
    this.flush();
    return found.index + found[0].length;
  }

  private startTag(): number {
    const name = this.match(AT.startTag)!;
    let end = this.at + name[0].length;
    let between: string;
    for (let attribute: RegExpExecArray | null = name; attribute; end += attribute?.[0].length ?? 0) {
      between = this.match(AT.between, end)![0];
      end += between.length;
      attribute = this.match(AT.attribute, end);
    }
    if (this.html[end] !== '>') return -1;
    const tag = name[1]!.toLowerCase();
    this.flush();
    if (between!.endsWith('/') || VOID.has(tag)) return end + 1;
    this.open.push(tag);
    if (tag !== 'script' && tag !== 'style') return end + 1;
    const close = new RegExp(`</\\s*${tag}\\s*>`, 'gi'); // nothing else is markup in there
    close.lastIndex = end + 1;
    const found = close.exec(this.html);
    return found ? found.index : this.html.length;
  }

  private endTag(): number {
    const gt = this.html.indexOf('>', this.at + 1);
    if (gt < 0) return -1;
    const whole = this.match(AT.endTag);
    const name = whole ?? this.match(AT.endTagName);
    this.flush();
    if (!name) return gt + 1;
    const place = this.open.lastIndexOf(name[1]!.toLowerCase());
    if (place >= 0) this.open.length = place;
    return whole ? this.at + whole[0].length : this.html.indexOf('>', this.at + name[0].length) + 1;
  }

  /** `<![CDATA[…]]>`, whose content is text, and Office's `<![if …]>`. */
  private section(): number {
    const found = this.match(AT.section);
    if (!found) return this.skip(/>/g, this.at + 3);
    if (!found[1]) return this.skip(/\]\s*>/g, this.at + 3);
    const start = this.at;
    const end = this.skip(/\]\s*\]\s*>/g, start + 3);
    const content = /^<!\[cdata\[/i.test(this.html.slice(start, start + 9));
    if (end >= 0 && content) {
      this.data = this.html.slice(start + 9, end).replace(/\]\s*\]\s*>$/, '');
      this.flush();
    }
    return end;
  }

  /** A `&`. @returns false where html.parser gives up: the rest is text */
  private reference(): boolean {
    const { html, at } = this;
    const number = this.match(AT.number);
    const name = number ? null : this.match(AT.name);
    const whole = (number ?? name)?.[0];
    if (number) {
      this.data += numberedCharacter(number[1] ? Number.parseInt(number[1], 10) : Number.parseInt(number[2]!, 16));
    } else if (name) this.data += namedCharacter(name[1]!) ?? name[0];
    if (whole) {
      this.at += whole.length + (html[at + whole.length] === ';' ? 1 : 0);
      return true;
    }
    if (html.startsWith('&#', at)) {
      if (!html.includes(';', at)) return false;
      this.text(at + 2);
      const goOn = !this.final;
      this.final = true;
      return goOn;
    }
    if (/^&[a-zA-Z]/.test(html.slice(at, at + 2))) {
      if (html.length === at + 2) this.at++; // "&x" at the end loses its `&`
      return false;
    }
    this.text(at + 1);
    return true;
  }
}
