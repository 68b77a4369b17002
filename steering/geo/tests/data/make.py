"""Makes the databases beside it with somebody else's writer (PyPI: mmdb_writer==0.2.7).

    python3 make.py

They say nothing true of any network.
"""

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

HERE = Path(__file__).parent


def city(iso, latitude, longitude, radius=20, name=None, more=None):
    record = {
        "country": {"iso_code": iso, "geoname_id": 1, "names": {"en": iso}},
        "location": {"latitude": latitude, "longitude": longitude, "accuracy_radius": radius},
    }
    if name:
        record["city"] = {"geoname_id": 2, "names": {"en": name}}
    return record | (more or {})


def write(name, kind, records, **options):
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, **options)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(HERE / name))


write("city.mmdb", "GeoLite2-City", {
    "200.48.0.0/16": city("PE", -12.0464, -77.0428, name="Lima"),
    "200.49.0.0/16": city("PE", -10.0, -76.0, radius=1000),
    "200.50.0.0/16": city("PE", 0.0, 0.0, name="Nowhere"),
    "200.51.0.0/16": city("CO", 400.0, -74.07, name="Bogota"),
    "200.52.0.0/16": {"registered_country": {"iso_code": "CO"}},
    "2800:200::/32": city("PE", -12.0464, -77.0428, name="Lima"),
})
write("country.mmdb", "GeoLite2-Country", {
    "200.48.0.0/16": {"country": {"iso_code": "PE"}},
    "2800:200::/32": {"country": {"iso_code": "PE"}},
})
write("asn.mmdb", "GeoLite2-ASN", {
    "200.48.0.0/16": {
        "autonomous_system_number": 6147,
        "autonomous_system_organization": "Example",
    },
    "2800:200::/32": {"autonomous_system_number": 6147},
}, int_type="u32")
write("flat.mmdb", "ipinfo generic_country_asn.mmdb", {
    "200.48.0.0/16": {"country": "PE", "country_name": "Peru", "asn": "AS6147", "as_name": "E"},
    "200.49.0.0/16": {"country_code": "co", "lat": "4.71", "lng": "-74.07", "city": "Bogota"},
    "2800:200::/32": {"country": "PE", "asn": "AS6147"},
})
write("strange.mmdb", "Something-Else", {
    "200.48.0.0/16": {"colour": "blue", "country": 7, "asn": {"is": "not"}},
    "200.49.0.0/16": {"isp": "Example"},
})
