"""The report as one self-contained HTML file: charts drawn here, text from templates."""
