"""How the page looks: one column of text with its index beside it, on paper, in the dark and in print.

The colours are data, so that a test can hold their contrast against WCAG 2.2 (1.4.3: 4.5 to 1 for text).
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.render.html_markup import Markup
from provisioner.render.phrases import SYMBOLS

LIGHT: Mapping[str, str] = {
    "paper": "#fbfaf6",
    "ink": "#22201c",
    "faint": "#625d54",
    "rule": "#ddd8cc",
    "come": "#1a6537",
    "come-ground": "#e6f1e6",
    "go": "#a02622",
    "go-ground": "#f9e7e3",
    "alter": "#7a5000",
    "link": "#1f4d85",
}
DARK: Mapping[str, str] = {
    "paper": "#171613",
    "ink": "#e9e5db",
    "faint": "#a9a295",
    "rule": "#3a372f",
    "come": "#86cf9d",
    "come-ground": "#1b2b20",
    "go": "#f3a098",
    "go-ground": "#372019",
    "alter": "#e2b660",
    "link": "#9cc0ee",
}


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


# What a link leads to is shown in any case.
_FILTER = "".join(
    f"fieldset:has(#show-{kind}:checked)~.group:not(.{kind},:has(>ul>:target)){{display:none}}\n"
    for kind in SYMBOLS
)

# The changes are no list items to a browser: it would count ten thousand of them anew whenever one is hidden.
_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);
 font:1rem/1.55 system-ui,-apple-system,"Segoe UI","Helvetica Neue",Arial,sans-serif}
.page{max-width:74rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1,h2{font-family:ui-serif,"Iowan Old Style","Palatino Linotype",Palatino,Georgia,"Liberation Serif",serif;
 font-weight:500;line-height:1.2;text-wrap:balance}
h1 span{display:inline-block}
h1{font-size:clamp(1.75rem,1.2rem + 2.4vw,2.75rem);letter-spacing:-.01em;margin:.35rem 0 1rem}
h2{font-size:1.375rem;margin:0 0 .5rem;display:flex;gap:.6rem;align-items:baseline}
h2 span{font:400 .9375rem/1 system-ui,sans-serif;color:var(--faint);font-variant-numeric:tabular-nums}
h3{font-size:1rem;line-height:1.4;margin:0 0 .35rem;font-weight:600}
h3 span{font-weight:400;color:var(--faint);font-variant-numeric:tabular-nums}
.group{margin-top:1.75rem}
.group h3{margin:0;padding-bottom:.35rem;border-bottom:1px solid var(--rule)}
p{margin:0 0 .6rem;max-width:38rem}
header p:first-child{color:var(--faint);margin:0}
header p:last-child{margin-bottom:0}
section{border-top:1px solid var(--rule);padding-top:1.25rem;margin-top:2.5rem}
footer{border-top:1px solid var(--rule);margin-top:3rem;padding-top:1rem;color:var(--faint);font-size:.875rem}
code,dt,dd,pre,.sign,.item{
 font-family:ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
code,pre,.item{font-size:.875em}
header,main{overflow-wrap:anywhere}
i{color:var(--faint);font-style:normal}
a{color:var(--link);text-underline-offset:.3em;text-decoration-thickness:1px}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:3px;border-radius:2px}
ul{list-style:none;margin:0;padding:0}
[hidden]{display:none!important}

nav ul{display:flex;flex-wrap:wrap;gap:.1rem 1.25rem;margin:1.5rem 0 0}
nav a{display:inline-block;padding:.25rem 0;color:inherit;text-decoration-color:var(--rule)}
nav span{color:var(--faint);font-variant-numeric:tabular-nums}

.block li{margin:0 0 1.1rem}
#conflicts h2,#cut h2{color:var(--go)}
.block p{margin:0;max-width:none}
.detail{color:var(--faint);margin-bottom:.4rem}
.block .item{padding-left:5ch;text-indent:-5ch;white-space:pre-wrap}
.many li{padding:.3rem 0;display:grid;gap:0 1rem}
.many li>span{color:var(--faint);font-size:.9375rem}

details>summary{cursor:pointer;list-style:none;position:relative;padding:.6rem 2rem .6rem 0}
summary::-webkit-details-marker{display:none}
summary::after{content:"";position:absolute;right:.4rem;top:1.15rem;width:.45rem;height:.45rem;
 border:solid var(--faint);border-width:0 1.5px 1.5px 0;transform:rotate(45deg)}
details[open]>summary::after{transform:rotate(225deg);top:1.35rem}
summary:hover code{text-decoration:underline;text-decoration-thickness:1px;text-underline-offset:.2em}
.list>li{display:block;border-top:1px solid var(--rule);overflow:clip;scroll-margin-top:1rem}
.long>li{content-visibility:auto;contain-intrinsic-size:auto 3rem}
.list>li:first-child{border-top:0}
.list>li:target{background:linear-gradient(var(--link),var(--link)) 0 0/3px 100% no-repeat}
.list summary{padding-left:2.25rem}
.list summary code{font-weight:600}
.list p{color:var(--faint);font-size:.9375rem;margin:0 0 .3rem 2.25rem}
.list p::first-letter{text-transform:uppercase}
.sign{position:absolute;left:0;color:var(--faint);font-weight:700;font-size:.875em;line-height:1.75}
.create .sign{color:var(--come)}
.replace .sign,.destroy .sign{color:var(--go)}
.rotate .sign,.update .sign{color:var(--alter)}
.what{color:var(--faint);margin:0 .35rem}
summary b{font-weight:600;font-size:.75rem;line-height:1.3;white-space:nowrap;color:var(--alter);
 border:1px solid;border-radius:3px;padding:.05rem .35rem;margin-right:.35rem;vertical-align:.08em}
.replace b:first-of-type,.destroy b:first-of-type{color:var(--go)}

dl{margin:.35rem 0 1.25rem;display:grid;grid-template-columns:minmax(0,1fr);font-size:.8125rem;
 line-height:1.5}
.list dl{margin-left:2.25rem}
dt{color:var(--faint);margin-top:.5rem}
dt:first-of-type{margin-top:0}
dd small{color:var(--go);font:.8125rem/1.5 system-ui,sans-serif}
dd{margin:0;padding-left:2ch;min-width:0}
dd>ins,dd>del,dd>span{display:block;width:fit-content;margin-left:-2ch;padding:0 .75ch 0 2ch;text-indent:-2ch;
 text-decoration:none}
dd>ins,dd>del{padding-block:.05rem}
ins{color:var(--come);background:var(--come-ground)}
del{color:var(--go);background:var(--go-ground)}
.create ins,.destroy del{background:none}
bdi,dd span,ins,del{white-space:pre-wrap}
@media (min-width:40rem){
 dl{grid-template-columns:12rem minmax(0,1fr);align-items:baseline}
 dt{grid-column:1;margin:0}
 dd{grid-column:2}
 dd+dt,dd+dt+dd{margin-top:.35rem}
 .many li{grid-template-columns:minmax(0,2fr) minmax(0,3fr)}
}

fieldset{border:0;margin:0 0 .75rem;padding:0;min-width:0;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem}
legend{padding:0;float:left;color:var(--faint)}
legend,fieldset label{line-height:2.1}
fieldset label{cursor:pointer;position:relative}
fieldset input{position:absolute;opacity:0;inset:0;margin:0;cursor:pointer}
fieldset label>span{padding-bottom:.15rem;border-bottom:2px solid transparent}
fieldset label:hover>span{border-color:var(--rule)}
fieldset input:checked+span{font-weight:600;border-color:var(--ink)}
fieldset input:focus-visible+span{outline:2px solid var(--link);outline-offset:3px;border-radius:2px}
fieldset small{font-size:.875em;font-weight:400;color:var(--faint);font-variant-numeric:tabular-nums}
@supports not selector(:has(*)){fieldset{display:none}}
.find{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;align-items:baseline;margin-bottom:.75rem;
 color:var(--faint)}
.find label{display:flex;gap:.6rem;align-items:baseline;flex:0 1 18rem;min-width:0}
.find input{font:inherit;color:var(--ink);background:transparent;border:0;
 border-bottom:1px solid var(--faint);border-radius:0;padding:.3rem 0;min-width:0;flex:1}
.find button{font:inherit;background:none;border:0;padding:.3rem 0;color:var(--link);cursor:pointer;
 text-decoration:underline;text-underline-offset:.2em;text-decoration-thickness:1px}
pre{margin:.5rem 0 0;overflow-x:auto;line-height:1.45;tab-size:4}

@media (min-width:64rem){
 .page{display:grid;grid-template-columns:11rem minmax(0,50rem);gap:0 4.5rem;padding:4.5rem 2rem 6rem;
  grid-template-rows:auto 1fr auto}
 header,main,footer{grid-column:2}
 nav{grid-column:1;grid-row:1/span 2}
 nav ul{display:block;position:sticky;top:2rem;margin:1.6rem 0 0}
 nav li{display:flex;justify-content:space-between;border-bottom:1px solid var(--rule);font-size:.9375rem}
 nav a{text-decoration:none;flex:1;padding:.35rem 0}
 nav a:hover{text-decoration:underline}
 nav span{padding:.35rem 0}
}
@media (forced-colors:active){summary::after{border-color:CanvasText}}
"""

_PRINT = """
@media print{
 nav,fieldset,.find,#text,summary::after{display:none}
 .page{display:block;padding:0;max-width:none}
 html{font-size:10pt}
 details::details-content{content-visibility:visible;display:block;height:auto}
 .list>li{content-visibility:visible;break-inside:avoid-page}
 section{break-inside:auto}
 h2,summary{break-after:avoid-page}
}
"""

CSS = Markup(
    f":root{{{_variables(LIGHT)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    f"{_RULES}{_FILTER}{_PRINT}"
)
