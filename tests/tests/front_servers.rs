//! Real web servers in front of the real server, with the configurations of `examples/deploy/`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wsgi_tests::front::django::Project;
use wsgi_tests::front::site::can_start;
use wsgi_tests::front::{checks, table};

macro_rules! pairs {
    ($($name:ident: $pair:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                checks::run(&table::$pair);
            }
        )*
    };
}

pairs! {
    nginx_with_http: NGINX_HTTP,
    nginx_with_uwsgi: NGINX_UWSGI,
    nginx_with_fastcgi: NGINX_FASTCGI,
    nginx_with_scgi: NGINX_SCGI,
    apache_with_http: APACHE_HTTP,
    apache_with_uwsgi: APACHE_UWSGI,
    apache_with_fastcgi: APACHE_FASTCGI,
    apache_with_scgi: APACHE_SCGI,
    lighttpd_with_http: LIGHTTPD_HTTP,
    lighttpd_with_uwsgi: LIGHTTPD_UWSGI,
    lighttpd_with_fastcgi: LIGHTTPD_FASTCGI,
    lighttpd_with_scgi: LIGHTTPD_SCGI,
    haproxy_with_http: HAPROXY_HTTP,
    haproxy_with_fastcgi: HAPROXY_FASTCGI,
    caddy_with_http: CADDY_HTTP,
    caddy_with_fastcgi: CADDY_FASTCGI,
}

#[test]
fn django_behind_each_of_them() {
    let Some(project) = Project::prepare() else { return };
    let mut failures = Vec::new();
    for pair in table::ALL.iter().filter(|pair| can_start(pair)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| project.behind(pair))) {
            failures.push(format!("{:?} with {:?}: {}", pair.front, pair.protocol, checks::reason(&*panic)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
