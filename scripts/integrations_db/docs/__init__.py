"""Documents of a database, from its catalogue.

``source`` finds the database, ``model`` reads it, ``pages`` renders the regions of Markdown pages
and the page of HTML from the Jinja2 templates in ``templates/``. ``words`` has what keeps a name or
a comment from being taken for markup, ``diagram`` and ``layout`` draw the tables.
"""

from __future__ import annotations
