"""Draws the result of run.py as an SVG: for each case one bar a server (median), with its spread from least to most."""
import html

COLOURS = {'tidemark': '#0b7285', 'redis': '#adb5bd'}
NAMES = {'tidemark': 'Tidemark', 'redis': 'Redis'}
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 150, 190, 14, 12, 64


def text(x, y, content, **attributes):
    extra = ''.join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{html.escape(content)}</text>'


def short(number):
    return f'{number / 1e6:.2f} M' if number >= 1e6 else f'{number / 1e3:.0f} k' if number >= 1e4 else f'{number:.0f}'


def bar(y, kind, side, scale):
    length = side['median'] * scale
    low, high = LEFT + side['min'] * scale, LEFT + side['max'] * scale
    middle = y + BAR / 2
    return [
        f'<rect x="{LEFT}" y="{y:.1f}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[kind]}"/>',
        f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {y + 4:.1f}v{BAR - 8}M{high:.1f} {y + 4:.1f}v{BAR - 8}" '
        'stroke="#212529" fill="none"/>',
    ]


def draw(result):
    """The SVG of result['cases'], grouped by durability and pipeline; every group has a scale of its own."""
    kinds = list(result['servers'])
    parts, y, group = [], TOP, None
    for case in result['cases']:
        if group != (case['policy'], case['pipeline']):
            group = (case['policy'], case['pipeline'])
            peers = [c for c in result['cases'] if (c['policy'], c['pipeline']) == group]
            scale = (WIDTH - LEFT - RIGHT) / max(c[kind]['max'] for c in peers for kind in kinds)
            y += 22
            parts.append(text(16, y - 6, f'appendfsync {group[0]}, pipeline {group[1]}', font_weight='bold'))
        middle = y + (BAR * len(kinds)) / 2 + 4
        parts.append(text(LEFT - 10, middle, case['test'].upper(), text_anchor='end'))
        for i, kind in enumerate(kinds):
            parts += bar(y + i * BAR, kind, case[kind], scale)
        label = ' / '.join(short(case[kind]['median']) for kind in kinds) + ' a second'
        parts.append(text(WIDTH - RIGHT + 12, middle, label + (f'  ×{case["ratio"]:.2f}' if 'ratio' in case else '')))
        y += BAR * len(kinds) + GAP
    legend = ', '.join(f'{NAMES[kind]} {result["servers"][kind]}' for kind in kinds)
    machine = result['machine']
    head = [
        text(16, 26, f'Requests a second: {legend}', font_size=16, font_weight='bold'),
        text(16, 46, f'{result["tool"]}, {result["clients"]} clients, {result["value_size"]}-byte values, {result["keys"]:,} random '
             f'keys; median of {result["repeats"]} with least and most; {machine["cpus"]} × {machine["cpu"]}', fill='#495057'),
    ]
    for i, kind in enumerate(kinds):
        x = WIDTH - 190 + i * 95
        head.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[kind]}"/>')
        head.append(text(x + 18, 25, NAMES[kind]))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10:.0f}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>' + '\n'.join(head + parts) + '</svg>\n')
