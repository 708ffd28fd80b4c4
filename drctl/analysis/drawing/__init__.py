"""Charts and maps as inline SVG, coloured by the page's own variables so that light and dark both work."""
