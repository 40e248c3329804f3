//! Mail goes out.

use crate::app::TestApp;

store::on_both_databases! {
    fn a_welcome_arrives(db) {
        let app = TestApp::start(db);
        app.customer("ada");
        let folder = app.db.dir.path().join("mail");
        let mail = app.eventually(|| {
            let entry = std::fs::read_dir(&folder).unwrap().flatten().next()?;
            let text = std::fs::read_to_string(entry.path()).unwrap();
            text.contains("Subject").then_some(text)
        });
        for line in ["To: ada <ada@example.org>", "Subject: Welcome to Driveway", "Hello ada,"] {
            assert!(mail.contains(line), "{mail}");
        }
    }
}
