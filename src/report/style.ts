/** The look of the page, and the readout under the pointer. Both are inlined: the page loads nothing. */

export const STYLE = `
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1d2025; --quiet: #6b7280; --line: #e4e5e8;
  --main: #2563eb; --second: #c2410c; --third: #0f766e; --fourth: #9333ea; --fifth: #a16207; --sixth: #be185d; --good: #15803d; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1c1f25; --ink: #e8eaed; --quiet: #9aa1ac;
  --line: #2e333b; --main: #6ea0ff; --second: #f59e6c; --third: #4fd1c5; --fourth: #c79bff; --fifth: #e3c04f; --sixth: #f58bb8; --good: #5fce8a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1480px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 17px; margin: 36px 0 12px; }
.quiet, .unit { color: var(--quiet); } p { margin: 4px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin-top: 20px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); gap: 16px; }
.chart { position: relative; margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px 6px; }
figcaption { display: flex; gap: 8px; align-items: baseline; flex-wrap: wrap; } .legend { margin-left: auto; font-size: 13px; }
.key { margin-left: 14px; } .key::before { content: ''; display: inline-block; width: 16px; border-top: 2px solid; margin: 0 6px 4px 0; }

.main { --shade: var(--main); } .faint { --shade: var(--main); } .second { --shade: var(--second); } .third { --shade: var(--third); }
.fourth { --shade: var(--fourth); } .fifth { --shade: var(--fifth); } .sixth { --shade: var(--sixth); }
.key::before { color: var(--shade); } .key.faint::before { opacity: .3; }
svg { display: block; width: 100%; height: auto; overflow: visible; } svg text { fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); stroke-width: 1; } path { fill: none; stroke: var(--shade); stroke-width: 2; stroke-linejoin: round; }
path.faint { opacity: .3; stroke-width: 1; } circle { fill: var(--shade); } .hover line { stroke: var(--quiet); stroke-dasharray: 3 3; }
output { position: absolute; top: 40px; right: 20px; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 4px 10px; font-size: 13px; font-variant-numeric: tabular-nums; pointer-events: none; white-space: pre-line; } output:empty { display: none; }
.scroll { width: fit-content; max-width: 100%; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { text-align: left; padding: 8px 14px; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--quiet); font-weight: 500; font-size: 13px; } td.number, th.number { text-align: right; }
.samples th[scope=row] { position: sticky; left: 0; background: var(--card); min-width: 140px; max-width: 220px; font-weight: 400; overflow-wrap: anywhere; }
.samples td { padding: 6px; } .samples img { display: block; width: 132px; image-rendering: pixelated; border-radius: 4px; }
pre { margin: 0; padding: 14px 16px; font: 13px/1.5 ui-monospace, monospace; } .badge { color: var(--good); font-weight: 600; }
details summary { cursor: pointer; color: var(--quiet); }
`;

/** Points carry their place in the drawing, so the script needs no scales. */
export const SCRIPT = `
for (const chart of document.querySelectorAll('.chart')) {
  const series = JSON.parse(chart.dataset.series), svg = chart.querySelector('svg');
  const hover = chart.querySelector('.hover'), out = chart.querySelector('output');
  const clear = () => { hover.replaceChildren(); out.textContent = ''; };
  const draw = (name, attributes) => {
    const node = document.createElementNS(svg.namespaceURI, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    hover.append(node);
  };
  svg.addEventListener('pointerleave', clear);
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    const near = series.map(one => one.points.reduce((a, b) => Math.abs(b[2] - x) < Math.abs(a[2] - x) ? b : a));
    const at = near.reduce((a, b) => Math.abs(b[2] - x) < Math.abs(a[2] - x) ? b : a);
    clear();
    draw('line', { x1: at[2], x2: at[2], y1: 10, y2: svg.viewBox.baseVal.height - 26 });
    const lines = ['step ' + at[0].toLocaleString('en')];
    near.forEach((point, i) => {
      if (point[2] !== at[2]) return;
      draw('circle', { class: series[i].look, cx: point[2], cy: point[3], r: 3.5 });
      lines.push((series.length > 1 ? series[i].label + '  ' : '') + point[1]);
    });
    out.textContent = lines.join('\\n');
  });
}
`;
